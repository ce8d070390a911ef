"""Writes SVG whose text is text, with colours for light and dark pages."""

from xml.sax.saxutils import escape

STYLE = """
  text { fill: #1f2328; }
  .dim { fill: #59636e; }
  .small { font-size: 12px; }
  .strong { font-weight: 600; }
  .end { text-anchor: end; }
  .middle { text-anchor: middle; }
  .ours { fill: #0969da; }
  .theirs { fill: #8c959f; }
  .over { fill: #bc4c00; }
  .grid { stroke: #d1d9e0; }
  .axis { stroke: #59636e; }
  .mark { stroke: #1f2328; stroke-width: 2.5; }
  .curve { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
  .curve.ours { stroke: #0969da; fill: none; }
  .curve.theirs { stroke: #8c959f; fill: none; }
  .goal { stroke: #bc4c00; stroke-dasharray: 5 4; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .dim { fill: #9198a1; }
    .ours { fill: #4493f8; }
    .theirs { fill: #6e7681; }
    .over { fill: #f0883e; }
    .grid { stroke: #30363d; }
    .axis { stroke: #9198a1; }
    .mark { stroke: #f0f6fc; }
    .curve.ours { stroke: #4493f8; }
    .curve.theirs { stroke: #8b949e; }
    .goal { stroke: #f0883e; }
  }
"""


class Svg:
    """A picture of a width and a height."""

    def __init__(self, width, height, title):
        self.head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" font-size="14" '
            f'role="img" aria-labelledby="title">\n<title id="title">{escape(title)}</title>\n<style>{STYLE}</style>\n'
        )
        self.parts = []

    def text(self, x, y, words, kinds=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{_class(kinds)}>{escape(str(words))}</text>')

    def bar(self, x, y, width, height, kinds):
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" rx="2"{_class(kinds)}/>')

    def line(self, x1, y1, x2, y2, kinds):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"{_class(kinds)}/>')

    def curve(self, points, kinds):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}"{_class("curve " + kinds)}/>')

    def dot(self, x, y, kinds):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"{_class(kinds)}/>')

    def render(self):
        return self.head + "\n".join(self.parts) + "\n</svg>\n"


def _class(kinds):
    return f' class="{kinds}"' if kinds else ""


def scale(most, steps=5):
    """A round end of an axis, not below `most`, and the distance between its ticks."""
    step = 1.0
    while step * steps < most:
        step *= 2.5 if str(step)[0] == "2" else 2.0
    return step * -(-most // step), step
