"""Structs with a secret in them: what is logged or shown of one does not have it."""


class Hushed:
    """A msgspec.Struct's first base; its ``repr`` leaves ``hushed`` fields out."""

    __slots__ = ()
    hushed = frozenset({"secret", "credential", "token"})

    def __repr__(self) -> str:
        names: tuple[str, ...] = getattr(self, "__struct_fields__", ())
        shown = (
            f"{name}={'…' if name in self.hushed else repr(getattr(self, name))}" for name in names
        )
        return f"{type(self).__name__}({', '.join(shown)})"
