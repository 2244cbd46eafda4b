"""What is derived from segments' volumes; part of a protocol's JSON."""

from __future__ import annotations

from pydantic import Field, model_validator

from medai.core.settings import Settings


class Total(Settings):
    """A named union of segments."""

    name: str = Field(min_length=1, max_length=64, title="Name")
    segments: tuple[str, ...] = Field(min_length=1, max_length=256, title="Segments", description="What is summed.")
    note: str = Field("", max_length=300, title="Note", description="What the union holds, where that is not obvious.")

    @model_validator(mode="after")
    def _each_once(self) -> Total:
        if len(set(self.segments)) != len(self.segments):
            raise ValueError(f"a segment is summed twice in {self.name!r}")
        return self


class Pair(Settings):
    """The left and the right one of a structure: names of totals.  A total of the pair's name stands for both."""

    name: str = Field(min_length=1, max_length=64, title="Name")
    left: str = Field(min_length=1, max_length=64, title="Left")
    right: str = Field(min_length=1, max_length=64, title="Right")

    @model_validator(mode="after")
    def _differ(self) -> Pair:
        if self.left == self.right:
            raise ValueError(f"left and right of {self.name!r} are the same")
        return self


class Derived(Settings):
    """Totals, pairs of them, and the total to which the others are related."""

    totals: tuple[Total, ...] = Field((), max_length=100, title="Totals")
    pairs: tuple[Pair, ...] = Field((), max_length=50, title="Pairs")
    reference: str = Field(
        "",
        max_length=64,
        title="Reference",
        description="Total to which the others are related in per mille, such as the intracranial volume; empty: none.",
    )

    @model_validator(mode="after")
    def _names_fit(self) -> Derived:
        names = [total.name for total in self.totals]
        if len(set(names)) != len(names):
            raise ValueError("two totals have the same name")
        rows = [pair.name for pair in self.pairs]
        if len(set(rows)) != len(rows):
            raise ValueError("two pairs have the same name")
        sides = [side for pair in self.pairs for side in (pair.left, pair.right)]
        wrong = sorted({*sides, *([self.reference] if self.reference else [])} - set(names))
        if wrong:
            raise ValueError(f"there is no total called {wrong[0]!r}")
        if len(set(sides)) != len(sides):
            raise ValueError("a total is in two pairs")
        return self
