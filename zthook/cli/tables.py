"""Tables for people: a row is one line as far as the screen goes, and what is left goes below it.

Nothing is ever cut: an address or a reason that ends in dots is of no use. Without a screen
every row is one line, however long, with a dash where there is nothing.
"""

from collections.abc import Collection, Iterator, Sequence

from zthook.cli.screen import BOLD, DIM, Style, columns_of, plain, styled, wrapped

Cell = str | int | None

GAP = "  "
INDENT = "    "
USUAL_NAME = 24
"""Columns of the first column; those few names that are longer have a line of their own."""
NO_SCREEN = 1_000_000


class _Table:
    """The columns in ``widths`` (place → columns) stand side by side, the others go below.

    Those titled ``loose`` come last. They need not hold all their cells; what is too long for
    one, and all that follows in that row, goes below.
    """

    def __init__(
        self, columns: Sequence[str], rows: list[list[str]], loose: Collection[str], width: int
    ) -> None:
        self._columns = columns
        self._rows = rows
        self._loose = {place for place, title in enumerate(columns) if title in loose}
        self._width = width
        self._bare = width == NO_SCREEN
        self._widths: dict[int, int] = {}
        room = width
        for place in range(len(columns)):
            cells = [columns_of(row[place]) for row in rows]
            if place in self._loose and not self._bare and not any(cells):
                continue
            wanted = self._wanted(place, cells, room)
            if not wanted or (self._widths and wanted > room):
                break
            self._widths[place] = wanted
            room -= wanted + len(GAP)

    def _wanted(self, place: int, cells: list[int], room: int) -> int:
        """How wide the column is, 0 where it can show nothing beside the others."""
        title = columns_of(self._columns[place])
        if not self._bare and place in self._loose:
            most = max((one for one in cells if one <= room), default=0)
            return max(most, title) if most else 0
        most = NO_SCREEN if place or self._bare else self._usual(cells)
        return max([title, *(one for one in cells if one <= most)])

    def _usual(self, cells: list[int]) -> int:
        """As long as two thirds of the names, but not more than half of the screen."""
        longest = sorted(cells)[len(cells) * 2 // 3]
        return min(max(longest, USUAL_NAME), self._width // 2)

    def lines(self) -> Iterator[str]:
        yield self._line([self._columns[place] for place in self._widths], BOLD)
        for row in self._rows:
            yield from self._row(row)

    def _row(self, row: list[str]) -> Iterator[str]:
        beside = self._beside(row)
        cells = [row[place] or self._nothing(place) for place in beside]
        if columns_of(cells[0]) > self._widths[0]:
            yield cells[0]
            cells[0] = ""
        yield self._line(cells)
        below = [place for place, cell in enumerate(row) if cell and place not in beside]
        details = [self._detail(row, place) for place in below if place != len(row) - 1]
        yield from self._wrapped(", ".join(details), DIM)
        yield from self._wrapped(row[-1] if len(row) - 1 in below else "")

    def _beside(self, row: list[str]) -> list[int]:
        """The columns up to the first one that is too narrow for this row."""
        found = []
        for place, width in self._widths.items():
            if place in self._loose and columns_of(row[place]) > width:
                break
            found.append(place)
        return found

    def _nothing(self, place: int) -> str:
        return "-" if self._bare or place not in self._loose else ""

    def _detail(self, row: list[str], place: int) -> str:
        cell = row[place]
        return cell if place in self._loose else f"{self._columns[place].lower()} {cell}"

    def _line(self, cells: list[str], style: Style | None = None) -> str:
        padded = [
            styled(cell, style) + " " * (width - columns_of(cell))
            for cell, width in zip(cells, self._widths.values(), strict=False)
        ]
        return GAP.join(padded).rstrip()

    def _wrapped(self, text: str, style: Style | None = None) -> Iterator[str]:
        for line in wrapped(text, self._width - len(INDENT)) if text else ():
            yield INDENT + styled(line, style)


def table_lines(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    loose: Collection[str] = (),
    width: int | None,
) -> list[str]:
    """The lines of a table on a screen of so many columns; None: no screen.

    Columns without room go below as ``title value``; the last ones, titled ``loose``, need
    not hold all their cells, and go below without the title. The very last has lines of its
    own there.
    """
    shown = [[plain(cell) for cell in row] for row in rows]
    return list(_Table(columns, shown, loose, width or NO_SCREEN).lines())


def labelled(pairs: Sequence[tuple[str, str]], *, width: int | None) -> list[str]:
    """Lines of ``label  text``: the texts stand below each other, and are wrapped."""
    margin = max(len(label) for label, _ in pairs) + len(GAP)
    lines = []
    for label, text in pairs:
        head = styled(label, BOLD) + " " * (margin - len(label))
        for line in wrapped(text, (width or NO_SCREEN) - margin):
            lines.append(head + line)
            head = " " * margin
    return lines
