"""`python -m bench [transform] [wire] [stream] [images] [studies] [reports] [manifests] [communities] [security] [startup]`: all of them by default."""

import argparse
import time

from bench import communities, images, manifests, reports, security, startup, stream, studies, transform, wire

GIGABYTE = 1_000_000_000


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        help="transform, wire, stream, images, studies, reports, manifests, communities, security, startup",
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="per figure")
    parser.add_argument("--bytes", type=int, default=GIGABYTE, help="size of the large document")
    parser.add_argument("--rounds", type=int, default=5, help="of each way, in turns")
    parser.add_argument("--starts", type=int, default=2, help="of a gateway, for what is cold then")
    options = parser.parse_args()
    parts = {
        "transform": lambda: transform.run(options.seconds),
        "wire": lambda: wire.run(options.seconds),
        "stream": lambda: stream.run(options.bytes, options.rounds),
        "images": lambda: images.run(2 * options.bytes, options.rounds),
        "studies": lambda: studies.run(options.starts),
        "reports": lambda: reports.run(options.starts),
        "manifests": lambda: manifests.run(options.seconds),
        "communities": lambda: communities.run(options.rounds),
        "security": lambda: security.run(options.seconds, options.rounds),
        "startup": lambda: startup.run(options.rounds),
    }
    unknown = set(options.parts) - set(parts)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for name in options.parts or parts:
        started = time.monotonic()
        parts[name]()
        print(f"  {name} took {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
