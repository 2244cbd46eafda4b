"""Body sizes by which an uptake is normalised, and the facts that a PET image must have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from medai.core.errors import InputError

Kind = Literal["bw", "lbm", "lbm_james", "ibw", "bsa"]


@dataclass(frozen=True)
class Body:
    """A patient's size.

    Parameters
    ----------
    weight : float
        kg.
    height : float or None
        cm, if known.
    sex : str
        ``M``, ``F``, or empty if not known.
    """

    weight: float
    height: float | None = None
    sex: str = ""

    def needs(self, what: str, *, sex: bool) -> tuple[float, bool]:
        """Return (height in cm, whether male); raises :class:`InputError` naming what is missing."""
        if self.height is None:
            raise missing("PatientSize", f"{what} needs the height", "height_cm")
        if sex and self.sex not in ("M", "F"):
            raise missing("PatientSex", f"{what} needs the sex, M or F", "sex")
        return self.height, self.sex == "M"


def missing(attribute: str, why: str, setting: str) -> InputError:
    """Return the error for a fact that neither the header nor the settings give."""
    return InputError(
        f"{why}, and the image's DICOM header has no usable {attribute}.", hint=f"Give it as suv.{setting}."
    )


def weight(body: Body) -> float:
    """Return the body weight in g."""
    return body.weight * 1000


def lean_janmahasatian(body: Body) -> float:
    """Return the lean body mass in g (Janmahasatian et al., Clin Pharmacokinet 44, 1051 (2005))."""
    height, male = body.needs("SUVlbm", sex=True)
    index = body.weight / (height / 100) ** 2
    return 9.27e6 * body.weight / ((6680 + 216 * index) if male else (8780 + 244 * index))


def lean_james(body: Body) -> float:
    """Return the lean body mass in g (James, Research on obesity, London 1976; with the coefficient 128 for men)."""
    height, male = body.needs("SUVlbm", sex=True)
    ratio = (body.weight / height) ** 2
    mass = 1.10 * body.weight - 128 * ratio if male else 1.07 * body.weight - 148 * ratio
    if mass <= 0:
        raise InputError(
            f"James' formula gives no lean body mass for {body.weight:g} kg and {height:g} cm.",
            hint="Use 'lbm' (Janmahasatian).",
        )
    return 1000 * mass


def ideal(body: Body) -> float:
    """Return the ideal body weight in g (Sugawara et al., Radiology 213, 521 (1999))."""
    height, male = body.needs("SUVibw", sex=True)
    mass = 48.0 + 1.06 * (height - 152) if male else 45.5 + 0.91 * (height - 152)
    if mass <= 0:
        raise InputError(f"There is no ideal body weight for a height of {height:g} cm.", hint="Use 'bw'.")
    return 1000 * mass


def surface(body: Body) -> float:
    """Return the body surface in cm2 (Du Bois and Du Bois, Arch Intern Med 17, 863 (1916))."""
    height, _ = body.needs("SUVbsa", sex=False)
    return float(71.84 * body.weight**0.425 * height**0.725)


class Normaliser(NamedTuple):
    """A kind of SUV: the body's size it uses, its UCUM unit (DICOM CID 85), its word in DICOM's SUVType."""

    size: Callable[[Body], float]
    unit: str
    suv_type: str


NORMALISERS: dict[str, Normaliser] = {
    "bw": Normaliser(weight, "g/ml{SUVbw}", "BW"),
    "lbm": Normaliser(lean_janmahasatian, "g/ml{SUVlbm(Janma)}", "LBMJANMA"),
    "lbm_james": Normaliser(lean_james, "g/ml{SUVlbm(James128)}", "LBMJAMES128"),
    "ibw": Normaliser(ideal, "g/ml{SUVibw}", "IBW"),
    "bsa": Normaliser(surface, "cm2/ml{SUVbsa}", "BSA"),
}


def fact(
    meta: Mapping[str, str], key: str, given: float | None, low: float, high: float, unit: str, why: str, setting: str
) -> float:
    """Return a number from the settings, or from the header if it is plausible there.

    Parameters
    ----------
    meta : mapping
        Facts of the header.
    key : str
        DICOM attribute.
    given : float or None
        The setting, which goes before the header; same unit.
    low, high : float
        Plausible values in ``unit``.
    unit, why, setting : str
        For the message.

    Raises
    ------
    InputError
        Naming the attribute that is missing or implausible.
    """
    if given is not None:
        return given
    try:
        value = float(meta[key])
    except (KeyError, ValueError):
        raise missing(key, why, setting) from None
    if not low <= value <= high:
        raise InputError(
            f"The DICOM attribute {key} is {value:g} {unit}, which is implausible (expected {low:g} to {high:g}).",
            hint=f"Give the right value as suv.{setting}.",
        )
    return value
