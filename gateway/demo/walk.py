"""Steps of a check: one line each, and a failing step hides none that does not need it."""

from collections.abc import Awaitable, Callable

import aiohttp

from gateway.demo.outside_client import MismatchError
from gateway.model import RegistryFailure
from gateway.model.errors import PeerError

Step = Callable[[], Awaitable[None]]


class Walk:
    """Runs steps, prints their outcome and counts them."""

    def __init__(self, out: Callable[[str], object]) -> None:
        self._out = out
        self._passed: set[str] = set()
        self.failed = 0

    async def step(self, name: str, action: Step, *, needs: tuple[str, ...] = ()) -> None:
        """Run one step. Steps named in `needs` must have passed; what they made is used here."""
        missing = [needed for needed in needs if needed not in self._passed]
        problem: str | None = None
        if missing:
            problem = f"not tried, it needs: {missing[0]}"
        else:
            try:
                await action()
            except MismatchError as error:
                problem = str(error)
            except (PeerError, RegistryFailure) as error:
                problem = str(error)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                problem = f"no answer: {type(error).__name__} {error}"
            except (KeyError, IndexError, TypeError, ValueError) as error:
                problem = f"the answer has not the expected shape: {type(error).__name__} {error}"
        if problem is None:
            self._passed.add(name)
            self._out(f"ok    {name}")
        else:
            self.failed += 1
            self._out(f"FAIL  {name}: {problem}")

    def summary(self) -> str:
        """One line that counts steps."""
        if self.failed:
            return f"{self.failed} of {self.failed + len(self._passed)} steps failed"
        return f"all {len(self._passed)} steps passed"
