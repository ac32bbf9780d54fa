"""The picture of where something is held, as boxes and lines: community, document, who has it, series.

Places are computed here and drawn by the template, so that nothing has to be measured in a browser.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct

from gateway.trace.findings import HeldDocument, HeldSeries, Trace, Way

State = Literal["ok", "warn", "bad"]

WIDTH, HEIGHT, GAP = 212, 58, 16
"""Of a box, and between boxes of one column."""
_STEP: Final = WIDTH + 84
_TOP: Final = 34
_MOST_SERIES: Final = 24
_LABEL, _DETAIL = 20, 28
_TITLES: Final = ("Community", "Document", "Repository or source", "Series")


class Box(Struct, frozen=True):
    """A box: its place, two lines of text, and the whole text for who hears it or points at it."""

    x: int
    y: int
    kind: str
    state: State
    label: str
    detail: str
    title: str


class Line(Struct, frozen=True):
    """A curve from box to box, the leg that it stands for, and where that is written."""

    path: str
    state: State
    label: str
    x: int
    y: int


class Branch(Struct, frozen=True):
    """A box and what hangs on it, for screens that are too narrow for the picture."""

    label: str
    detail: str
    leg: str
    state: State
    branches: tuple["Branch", ...]


class Picture(Struct, frozen=True):
    """Of a trace; `summary` says in words what is to be seen, `tree` the same as branches."""

    width: int
    height: int
    columns: tuple[tuple[int, str], ...]
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    summary: str
    tree: tuple[Branch, ...]


class _Node(Struct):
    column: int
    kind: str
    label: str
    detail: str
    title: str
    state: State = "ok"
    row: int = 0


class _Edge(Struct):
    source: tuple[str, ...]
    target: tuple[str, ...]
    label: str
    state: State


_WORST: Final[dict[State, int]] = {"ok": 0, "warn": 1, "bad": 2}


class _Graph:
    """Boxes by what they stand for, each once."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[str, ...], _Node] = {}
        self.edges: dict[tuple[tuple[str, ...], tuple[str, ...], str], _Edge] = {}

    def put(self, key: tuple[str, ...], node: _Node) -> tuple[str, ...]:
        known = self.nodes.setdefault(key, node)
        known.state = max(known.state, node.state, key=_WORST.__getitem__)
        return key

    def join(self, source: tuple[str, ...], target: tuple[str, ...], label: str, state: State) -> None:
        edge = self.edges.setdefault((source, target, label), _Edge(source, target, label, state))
        edge.state = max(edge.state, state, key=_WORST.__getitem__)

    def branches(self, source: tuple[str, ...] | None = None) -> tuple[Branch, ...]:
        """What hangs on a box; on none, the communities."""
        if source is None:
            roots = [(key, "") for key, node in self.nodes.items() if node.column == 0]
        else:
            roots = [(edge.target, edge.label) for edge in self.edges.values() if edge.source == source]
        found = []
        for key, leg in roots:
            node = self.nodes[key]
            found.append(Branch(node.label, node.detail, leg, node.state, self.branches(key)))
        return tuple(found)


def picture_of(trace: Trace) -> Picture | None:
    """The picture; None where nothing is held."""
    if not trace.documents and not trace.unconfirmed:
        return None
    graph = _Graph()
    for document in trace.documents:
        _add_document(graph, document)
    for known in trace.unconfirmed:
        place = _community(graph, known.community, known.home_community_id, "bad")
        key = ("document", known.entry_uuid)
        title = f"Manifest {known.document_unique_id}, remembered: {known.reason}"
        graph.put(key, _Node(1, "document", "Manifest", "remembered only", title, "bad"))
        graph.join(place, key, "", "bad")
    return _drawn(graph, _summary(trace))


def _add_document(graph: _Graph, document: HeldDocument) -> None:
    home = document.home_community_id or ""
    place = _community(graph, document.community, document.home_community_id, "ok")
    is_old = document.status != "current"
    state: State = "bad" if document.problem else "warn" if is_old else "ok"
    what = "Manifest" if document.study_instance_uid else "Document"
    key = ("document", document.entry_uuid)
    title = f"{what} {document.document_unique_id}, {document.mime_type}, {document.status}"
    if document.problem:
        title += f": {document.problem}"
    label = f"{what}, {document.status}"
    graph.put(key, _Node(1, "document", label, document.mime_type, title, state))
    graph.join(place, key, document.registered.transaction, state)
    holder = _holder(graph, home, document.way, "repository", document.repository_unique_id or "")
    graph.join(key, holder, document.way.transaction, _state(document.way))
    for series in document.series[:_MOST_SERIES]:
        _add_series(graph, home, key, series)
    left = len(document.series) - _MOST_SERIES
    if left > 0:
        more = ("more", document.entry_uuid)
        title = f"{left} more series, which the table lists"
        graph.put(more, _Node(3, "series", f"{left} more series", "see the table", title))
        graph.join(key, more, "", "ok")


def _community(graph: _Graph, name: str, home: str | None, state: State) -> tuple[str, ...]:
    label = name[0].upper() + name[1:]
    title = f"{label}, {home}" if home else label
    return graph.put(
        ("community", home or ""),
        _Node(0, "community", label, (home or "").removeprefix("urn:oid:"), title, state),
    )


def _holder(graph: _Graph, home: str, way: Way, kind: str, named: str) -> tuple[str, ...]:
    if not way.transaction:
        title = f"{way.peer[0].upper()}{way.peer[1:]}: {way.problem}"
        node = _Node(2, kind, "No way", named or way.location or "", title, "bad")
        return graph.put(("nowhere", home, kind, named or way.location or ""), node)
    problem = f": {way.problem}" if way.problem else f": its circuit is {way.circuit}" if way.circuit else ""
    label, detail = _parted(way.peer, named)
    node = _Node(2, kind, label, detail, f"{way.peer}, by {way.transaction}{problem}", _state(way))
    return graph.put((kind, home, way.peer), node)


def _parted(peer: str, named: str) -> tuple[str, str]:
    """The name of a peer of the settings, which ends with its OID where it has no other."""
    first, _, last = peer.rpartition(" ")
    if first and last[:1].isdigit():
        return first[0].upper() + first[1:], last
    return peer[0].upper() + peer[1:], named


def _add_series(graph: _Graph, home: str, document: tuple[str, ...], series: HeldSeries) -> None:
    uid = series.series_instance_uid
    works = [way for way in series.ways if way.problem is None]
    state: State = "ok" if len(works) == len(series.ways) else "warn" if works else "bad"
    images = f"{series.instances} image{'' if series.instances == 1 else 's'}"
    label = f"{series.modality} series" if series.modality else "Series"
    title = f"{label} {uid}, {images}"
    key = graph.put(("series", home, uid), _Node(3, "series", label, f"{images}, …{uid[-10:]}", title, state))
    for way in series.ways:
        holder = _holder(graph, home, way, "source", "")
        graph.join(document, holder, "", _state(way))
        graph.join(holder, key, way.transaction, _state(way))


def _state(way: Way) -> State:
    if way.problem is not None:
        return "bad"
    return "ok" if way.circuit is None else "warn"


# --- drawing ----------------------------------------------------------------------------------------------
def _drawn(graph: _Graph, summary: str) -> Picture:
    columns: dict[int, list[_Node]] = {}
    for node in graph.nodes.values():
        column = columns.setdefault(node.column, [])
        node.row = len(column)
        column.append(node)
    rows = max(len(column) for column in columns.values())
    height = _TOP + rows * (HEIGHT + GAP)
    places = {id(node): _place(node, len(columns[node.column]), rows) for node in graph.nodes.values()}
    boxes = [
        Box(
            *places[id(n)],
            n.kind,
            n.state,
            _cut(n.label, _LABEL),
            _cut(n.detail, _DETAIL),
            n.title,
        )
        for n in graph.nodes.values()
    ]
    lines = [_line(graph, edge, places) for edge in graph.edges.values()]
    used = sorted(columns)
    return Picture(
        width=used[-1] * _STEP + WIDTH + 2,
        height=height,
        columns=tuple((column * _STEP, _TITLES[column]) for column in used),
        boxes=tuple(boxes),
        lines=tuple(lines),
        summary=summary,
        tree=graph.branches(),
    )


def _place(node: _Node, count: int, rows: int) -> tuple[int, int]:
    # a column of few boxes stands in the middle of the highest
    free = (rows - count) * (HEIGHT + GAP) // 2
    return node.column * _STEP + 1, _TOP + free + node.row * (HEIGHT + GAP)


def _line(graph: _Graph, edge: _Edge, places: dict[int, tuple[int, int]]) -> Line:
    x1, y1 = places[id(graph.nodes[edge.source])]
    x2, y2 = places[id(graph.nodes[edge.target])]
    x1, y1, y2 = x1 + WIDTH, y1 + HEIGHT // 2, y2 + HEIGHT // 2
    bend = (x2 - x1) // 2
    path = f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
    # near to its target, where the lines of one source have parted
    return Line(path, edge.state, edge.label, x2 - 46, round(y1 + (y2 - y1) * 0.84) - 6)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _summary(trace: Trace) -> str:
    communities = {d.home_community_id: d.community for d in trace.documents}
    series = {(d.home_community_id, s.series_instance_uid): s for d in trace.documents for s in d.series}
    lost = sum(all(way.problem is not None for way in each.ways) for each in series.values())
    parts = []
    if trace.documents:
        parts.append(f"{_count(len(trace.documents), 'document')} in {_listed(communities.values())}")
    if series:
        reached = "a way leads to each of them" if not lost else f"no way leads to {lost} of them"
        parts.append(f"{_count(len(series), 'series', 'series')}, {reached}")
    if trace.unconfirmed:
        parts.append(f"{_count(len(trace.unconfirmed), 'manifest')} remembered, which no registry names now")
    return "; ".join(parts) + "."


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def _listed(names: Iterable[str]) -> str:
    known: Sequence[str] = tuple(names)
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} and {known[-1]}"
