"""A bar chart of LDS with intervals as one SVG document: no library, no script, readable in print."""

from collections.abc import Sequence
from html import escape

from abci_app.types import PPB
from attribution.measure.certificate import Certificate, Interval

ROW_PIXELS, LABEL_PIXELS, BAR_PIXELS, MARGIN_PIXELS = 22, 300, 420, 16
FONT = "font-family='sans-serif' font-size='12'"
KINDS = (("examples", "#3b6ea8"), ("contributors", "#c8792b"))


def chart(certificate: Certificate) -> str:
    """Bars of every method for both kinds of halves, the ceiling as a line, 95 % intervals as whiskers."""
    lines, top = [_text(MARGIN_PIXELS, 18, f"LDS: {certificate.task}")], 34
    ceilings = {kind: getattr(certificate.ceiling, kind) for kind, _ in KINDS}
    for kind, colour in KINDS:
        methods = [(measured.method, getattr(measured, kind)) for measured in certificate.methods]
        lines.append(_text(MARGIN_PIXELS, top + 14, f"halves of the {kind}; line: one seed against the other"))
        lines += _bars(top + 22, methods, ceilings[kind], colour)
        top += 22 + ROW_PIXELS * len(methods) + 16
    width = LABEL_PIXELS + BAR_PIXELS + 3 * MARGIN_PIXELS + 40
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{top}' viewBox='0 0 {width} {top}'>"
    return "\n".join([head, f"<rect width='{width}' height='{top}' fill='white'/>", *lines, "</svg>"]) + "\n"


def _bars(top: int, methods: Sequence[tuple[str, Interval]], ceiling: Interval, colour: str) -> list[str]:
    lines = []
    for place, (name, found) in enumerate(methods):
        y = top + ROW_PIXELS * place
        end, low, high = _x(found.value_ppb), _x(found.low_ppb), _x(found.high_ppb)
        middle = y + ROW_PIXELS // 2
        lines.append(_text(MARGIN_PIXELS, middle + 4, name))
        lines.append(f"<rect x='{_x(0)}' y='{y + 4}' width='{end - _x(0)}' height='{ROW_PIXELS - 8}' fill='{colour}'/>")
        lines.append(f"<path d='M{low} {middle}H{high}M{low} {middle - 4}v8M{high} {middle - 4}v8' stroke='black'/>")
        lines.append(_text(_x(PPB) + 6, middle + 4, f"{found.value_ppb / PPB:.3f}"))
    bottom = top + ROW_PIXELS * len(methods)
    lines.append(f"<path d='M{_x(ceiling.value_ppb)} {top}V{bottom}' stroke='grey' stroke-dasharray='4 3'/>")
    return lines


def _x(value_ppb: int) -> int:
    """Pixels of a correlation; negative ones are drawn at zero, their number stands beside the bar."""
    return LABEL_PIXELS + MARGIN_PIXELS + round(BAR_PIXELS * max(0, value_ppb) / PPB)


def _text(x: int, y: int, text: str) -> str:
    return f"<text x='{x}' y='{y}' {FONT}>{escape(text)}</text>"
