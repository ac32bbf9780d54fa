"""A minimal PDF writer: one page of text lines (PDF 1.4, ISO 32000-1 7.5)."""

from collections.abc import Sequence

_LINES_PER_PAGE = 45


def _literal(text: str) -> bytes:
    escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return b"(" + escaped.encode("cp1252", "replace") + b")"


def write_pdf(title: str, lines: Sequence[str]) -> bytes:
    """One A4 page with a title and at most 45 lines of text in Helvetica.

    Raises ValueError for more lines than the page holds.
    """
    if len(lines) > _LINES_PER_PAGE:
        raise ValueError(f"a page holds {_LINES_PER_PAGE} lines")
    text = [b"BT /F1 16 Tf 56 780 Td " + _literal(title) + b" Tj /F1 10 Tf 0 -28 Td 15 TL"]
    text += [_literal(line) + b" Tj T*" for line in lines]
    stream = b"\n".join([*text, b"ET"])
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R"
        b" /Resources << /Font << /F1 4 0 R >> >> >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Title " + _literal(title) + b" >>",
    ]
    # the comment of bytes above 127 tells transfer programs that the file is binary (7.5.2)
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info 6 0 R >>\n" % (len(objects) + 1)
    out += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(out)
