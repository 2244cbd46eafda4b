"""SUV from synthetic PET series: QIBA's branches, every missing fact by its name, and no date or name in the volume."""

import json
import math
import warnings

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.preprocess import PREPROCESS

pydicom = pytest.importorskip("pydicom")

HALF_LIFE = 6586.2
DOSE = 370e6
WEIGHT = 70.0
SLOPES = (0.5, 2.0, 3.25)


def pet_slice(path, number, drug=None, philips=None, ge=None, **attributes):
    """Write one slice of 4 x 5 pixels at z = 3 mm x number; scanned an hour after the injection at 10:00."""
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"2.25.{1000 + number}"
    data.PatientName, data.PatientID, data.PatientBirthDate = "CANARY^PATIENT", "CANARY-ID", "19010203"
    data.Modality, data.SeriesInstanceUID, data.InstanceNumber = "PT", "2.25.9", number + 1
    data.Rows, data.Columns, data.SamplesPerPixel = 4, 5, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.ImagePositionPatient = [0, 0, 3.0 * number]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.PixelSpacing = [4, 4]
    data.RescaleSlope, data.RescaleIntercept = SLOPES[number % 3], 0
    data.PatientWeight, data.PatientSize, data.PatientSex = WEIGHT, 1.75, "M"
    data.Units, data.DecayCorrection = "BQML", "START"
    data.CorrectedImage = ["DECY", "ATTN", "SCAT"]
    data.SeriesDate = data.AcquisitionDate = "20250304"
    data.SeriesTime, data.AcquisitionTime = "110000", f"11{2 * number:02d}00.50"
    data.ActualFrameDuration, data.FrameReferenceTime = 120000, 60000 + 120000 * number
    item = pydicom.Dataset()
    item.Radiopharmaceutical = "CANARY drug"
    item.RadiopharmaceuticalStartTime = "100000.00"
    item.RadionuclideTotalDose, item.RadionuclideHalfLife = DOSE, HALF_LIFE
    for keyword, value in (drug or {}).items():
        if value is None:
            delattr(item, keyword)
        else:
            with warnings.catch_warnings(), pydicom.config.disable_value_validation():
                warnings.simplefilter("ignore")
                setattr(item, keyword, value)
    data.RadiopharmaceuticalInformationSequence = [item]
    if philips:
        block = data.private_block(0x7053, "Philips PET Private Group", create=True)
        for offset, value in philips.items():
            block.add_new(offset, "DS", str(value))
    if ge:
        data.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", ge)
    data.PixelData = (np.arange(20, dtype=np.int16) * 100 + number).tobytes()
    data["PixelData"].VR = "OW"
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        for keyword, value in attributes.items():
            if value is None:
                delattr(data, keyword)
            elif keyword == "PatientWeight" and isinstance(value, str):  # no number: pydicom writes it as text only
                data.add_new("PatientWeight", "LO", value)
            else:
                setattr(data, keyword, value)
        data.save_as(path, enforce_file_format=True)


def pet(folder, slices=3, **attributes):
    from medai.core.io import read_volume

    folder.mkdir(exist_ok=True)
    for number in range(slices):
        own = {key: value(number) if callable(value) else value for key, value in attributes.items()}
        pet_slice(folder / f"{number}.dcm", number, **own)
    return read_volume(folder)


def suv(volume, **settings):
    return PREPROCESS.create("suv").run(volume, settings)


def activity():
    """Bq/ml of the synthetic series: each slice has its own slope."""
    planes = [(np.arange(20) * 100.0 + n).reshape(4, 5) * SLOPES[n] for n in range(3)]
    return np.stack(planes)


def body_weight_suv(seconds, values=None):
    return (activity() if values is None else values) * WEIGHT * 1000 / (DOSE * 2 ** (-seconds / HALF_LIFE))


def test_body_weight_from_the_series_time(tmp_path):
    volume = pet(tmp_path / "s")
    np.testing.assert_allclose(volume.array, activity(), rtol=1e-6)
    result = suv(volume)
    np.testing.assert_allclose(result.array, body_weight_suv(3600), rtol=1e-6)
    assert result.array.dtype == np.float32
    assert result.unit == "g/ml{SUVbw}"
    assert result.geometry == volume.geometry
    assert result.flags == volume.flags
    assert float(result.meta["SUVFactor"]) == pytest.approx(WEIGHT * 1000 / (DOSE * 2 ** (-3600 / HALF_LIFE)))


def test_facts_hold_no_date_no_time_and_no_name(tmp_path):
    volume = pet(tmp_path / "s")
    text = json.dumps([dict(volume.meta), volume.name, [f.to_dict() for f in volume.flags]])
    for secret in ("CANARY", "2025", "19010203", "110000", "100000", "11:00"):
        assert secret not in text, secret
    assert volume.meta["DecaySeconds"] == "3600"
    assert volume.meta["DecayReference"] == "SeriesTime"


def test_a_name_in_the_wrong_attribute_is_not_kept(tmp_path):
    volume = pet(tmp_path / "s", PatientSex="CANARY^JANE", SUVType="Canary Jane")
    assert "CANARY" not in str(dict(volume.meta)).upper()


def test_an_injection_before_midnight(tmp_path):
    volume = pet(
        tmp_path / "s", SeriesTime="003000", AcquisitionTime="003000",
        drug={"RadiopharmaceuticalStartTime": "233000"},
    )  # fmt: skip
    np.testing.assert_allclose(suv(volume).array, body_weight_suv(3600), rtol=1e-6)


def test_the_injections_date_goes_before_its_time(tmp_path):
    volume = pet(tmp_path / "s", drug={"RadiopharmaceuticalStartDateTime": "20250303110000.00+0100"})
    assert float(volume.meta["DecaySeconds"]) == 86400
    with pytest.raises(InputError, match=r"1440 min after the injection.*RadiopharmaceuticalStartTime and SeriesTime"):
        suv(volume)
    np.testing.assert_allclose(suv(volume, delay_min=60).array, body_weight_suv(3600), rtol=1e-6)


def test_a_later_series_time_is_not_the_scan(tmp_path):
    """QIBA: the series was made later; the frame reference time leads back to the scan's start."""
    volume = pet(tmp_path / "s", SeriesTime="150000")
    decay = math.log(2) / HALF_LIFE
    average = math.log(decay * 120 / (1 - math.exp(-decay * 120))) / decay
    assert volume.meta["DecayReference"] == "FrameReferenceTime"
    np.testing.assert_allclose(suv(volume).array, body_weight_suv(3600.5 - 60 + average), rtol=1e-6)


def test_a_later_series_time_without_a_reference_takes_the_first_acquisition(tmp_path):
    volume = pet(tmp_path / "s", SeriesTime="150000", FrameReferenceTime=None)
    assert volume.meta["DecayReference"] == "AcquisitionTime"
    np.testing.assert_allclose(suv(volume).array, body_weight_suv(3600.5), rtol=1e-6)


def test_ges_own_scan_time(tmp_path):
    volume = pet(tmp_path / "s", SeriesTime="150000", ge="20250304105000.00")
    assert volume.meta["DecayReference"] == "GE scan date and time"
    np.testing.assert_allclose(suv(volume).array, body_weight_suv(3000), rtol=1e-6)


def test_corrected_to_the_injection(tmp_path):
    volume = pet(tmp_path / "s", DecayCorrection="ADMIN", drug={"RadiopharmaceuticalStartTime": None})
    np.testing.assert_allclose(suv(volume).array, body_weight_suv(0), rtol=1e-6)


def test_not_corrected_decays_to_the_measurement(tmp_path):
    more = {"DecayCorrection": "NONE", "CorrectedImage": ["ATTN"]}
    volume = pet(tmp_path / "s", AcquisitionTime="110000", **more)
    decay = math.log(2) / HALF_LIFE
    average = math.log(decay * 120 / (1 - math.exp(-decay * 120))) / decay
    np.testing.assert_allclose(suv(volume).array, body_weight_suv(3600 + average), rtol=1e-6)
    spread = pet(tmp_path / "t", **more)
    with pytest.raises(InputError, match="slices measured at different times"):
        suv(spread)


@pytest.mark.parametrize("offset", [0x00, 0x09])
def test_philips_factors(tmp_path, offset):
    volume = pet(tmp_path / "s", Units="CNTS", philips={offset: 0.25})
    expected = activity() * 0.25 if offset == 0 else body_weight_suv(3600, activity() * 0.25)
    np.testing.assert_allclose(suv(volume).array, expected, rtol=1e-6)
    assert suv(volume).unit == "g/ml{SUVbw}"


def test_counts_without_a_factor_are_refused(tmp_path):
    volume = pet(tmp_path / "s", Units="CNTS", philips={0x00: 0})
    with pytest.raises(InputError, match="Units is CNTS"):
        suv(volume)


def test_values_that_are_suv_already(tmp_path):
    volume = pet(tmp_path / "s", Units="GML", PatientSize=None)
    np.testing.assert_allclose(suv(volume).array, activity(), rtol=1e-6)
    twice = suv(suv(pet(tmp_path / "t")))
    np.testing.assert_allclose(twice.array, body_weight_suv(3600), rtol=1e-6)
    with pytest.raises(InputError, match="PatientSize"):
        suv(volume, kind="lbm")
    lean = suv(volume, kind="bsa", height_cm=175)
    np.testing.assert_allclose(lean.array, activity() * 71.84 * 70**0.425 * 175**0.725 / 70000, rtol=1e-6)
    assert lean.meta["Units"] == "CM2ML"
    np.testing.assert_allclose(suv(lean, height_cm=175).array, activity(), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "sex", "grams", "unit"),
    [
        ("lbm", "M", 9270e3 * 70 / (6680 + 216 * 70 / 1.75**2), "g/ml{SUVlbm(Janma)}"),
        ("lbm", "F", 9270e3 * 70 / (8780 + 244 * 70 / 1.75**2), "g/ml{SUVlbm(Janma)}"),
        ("lbm_james", "M", 1e3 * (1.10 * 70 - 128 * (70 / 175) ** 2), "g/ml{SUVlbm(James128)}"),
        ("lbm_james", "F", 1e3 * (1.07 * 70 - 148 * (70 / 175) ** 2), "g/ml{SUVlbm(James128)}"),
        ("ibw", "M", 1e3 * (48 + 1.06 * 23), "g/ml{SUVibw}"),
        ("ibw", "F", 1e3 * (45.5 + 0.91 * 23), "g/ml{SUVibw}"),
        ("bsa", "O", 71.84 * 70**0.425 * 175**0.725, "cm2/ml{SUVbsa}"),
    ],
)
def test_other_body_sizes(tmp_path, kind, sex, grams, unit):
    result = suv(pet(tmp_path / "s", PatientSex=sex), kind=kind)
    np.testing.assert_allclose(result.array, body_weight_suv(3600) * grams / (WEIGHT * 1000), rtol=1e-6)
    assert result.unit == unit


def test_plausible_sizes_of_a_man():
    """Known: 70 kg and 175 cm have 1.85 m2 and 54 to 57 kg without fat."""
    from medai.segment.preprocess._suv import Body, lean_james, lean_janmahasatian, surface

    man = Body(70.0, 175.0, "M")
    assert surface(man) == pytest.approx(18500, rel=0.01)
    assert 54000 < lean_janmahasatian(man) < 57500
    assert 54000 < lean_james(man) < 57500
    with pytest.raises(InputError, match="no lean body mass"):
        lean_james(Body(200.0, 110.0, "M"))


@pytest.mark.parametrize(
    ("attributes", "drug", "words", "repair"),
    [
        ({"PatientWeight": None}, {}, "no usable PatientWeight", {"weight_kg": 70}),
        ({"PatientWeight": "CANARY"}, {}, "no usable PatientWeight", {"weight_kg": 70}),
        ({"PatientWeight": 0}, {}, "PatientWeight is 0 kg, which is implausible", {"weight_kg": 70}),
        ({"PatientWeight": 70000}, {}, "PatientWeight is 70000 kg", {"weight_kg": 70}),
        ({}, {"RadionuclideTotalDose": None}, "no usable RadionuclideTotalDose", {"dose_mbq": 370}),
        ({}, {"RadionuclideTotalDose": 370}, "RadionuclideTotalDose is 0.00037 MBq", {"dose_mbq": 370}),
        ({}, {"RadionuclideHalfLife": None}, "no usable RadionuclideHalfLife", {"half_life_min": 109.77}),
        ({}, {"RadionuclideHalfLife": 109.77e6}, "RadionuclideHalfLife is", {"half_life_min": 109.77}),
        ({}, {"RadiopharmaceuticalStartTime": None}, "no usable RadiopharmaceuticalStartDateTime", {"delay_min": 60}),
        ({}, {"RadiopharmaceuticalStartTime": "CANARY"}, "RadiopharmaceuticalStartDateTime", {"delay_min": 60}),
        ({"SeriesTime": None, "AcquisitionTime": None}, {}, "SeriesTime or AcquisitionTime", {"delay_min": 60}),
        ({}, {"RadiopharmaceuticalStartDateTime": "20250304120000"}, "-60 min after the injection", {"delay_min": 60}),
        ({"DecayCorrection": None}, {}, "no usable DecayCorrection", {"decay_correction": "START"}),
        ({"CorrectedImage": ["ATTN"]}, {}, "DecayCorrection is START, CorrectedImage does not name DECY",
         {"decay_correction": "START"}),
        ({"Units": None}, {}, "Units is missing", {"units": "BQML"}),
        ({"Units": "PROPCNTS"}, {}, "Units is 'PROPCNTS'", {"units": "BQML"}),
        ({"CorrectedImage": ["DECY"]}, {}, "CorrectedImage does not name ATTN", None),
    ],
)  # fmt: skip
def test_each_missing_or_implausible_fact_is_named(tmp_path, attributes, drug, words, repair):
    volume = pet(tmp_path / "s", drug=drug, **attributes)
    with pytest.raises(InputError) as caught:
        suv(volume)
    assert words in caught.value.message
    assert caught.value.message.endswith(".")
    assert "CANARY" not in str(caught.value)
    if repair:
        assert caught.value.hint.find("suv.") > 0
        np.testing.assert_allclose(suv(volume, **repair).array, body_weight_suv(3600), rtol=2e-4)


@pytest.mark.parametrize(
    ("attributes", "drug"),
    [
        ({"SeriesTime": "150000", "FrameReferenceTime": 1e300}, {}),
        ({"SeriesTime": "150000", "ActualFrameDuration": 10**11}, {"RadionuclideHalfLife": 1e300}),
        ({"SeriesDate": "00010101", "SeriesTime": "000000", "AcquisitionDate": "00010101"}, {}),
        ({"SeriesDate": "20259999", "AcquisitionDate": "CANARY"}, {}),
        ({"SeriesTime": "256199", "AcquisitionTime": "-1"}, {}),
        ({}, {"RadiopharmaceuticalStartDateTime": "99999999999999"}),
        ({"RadiopharmaceuticalInformationSequence": None}, {}),
    ],
)
def test_impossible_times_do_not_stop_the_reader(tmp_path, attributes, drug):
    volume = pet(tmp_path / "s", drug=drug, **attributes)
    np.testing.assert_allclose(volume.array, activity(), rtol=1e-6)
    given = {"dose_mbq": 370, "half_life_min": HALF_LIFE / 60, "delay_min": 60}
    np.testing.assert_allclose(suv(volume, **given).array, body_weight_suv(3600), rtol=1e-6)
    try:
        result = suv(volume)
    except InputError as refusal:
        assert refusal.message.endswith(".")  # noqa: PT017 - either outcome is right
        return
    assert np.isfinite(result.array).all()


@pytest.mark.parametrize("vr", ["LO", "UL"])
def test_a_radiopharmaceutical_that_is_no_sequence(tmp_path, vr):
    from medai.core.io import read_volume

    pet_slice(tmp_path / "x.dcm", 0)
    data = pydicom.dcmread(tmp_path / "x.dcm")
    del data.RadiopharmaceuticalInformationSequence
    data.add_new("RadiopharmaceuticalInformationSequence", vr, "CANARY" if vr == "LO" else 7)
    data.save_as(tmp_path / "x.dcm")
    with pytest.raises(InputError, match="RadionuclideTotalDose"):
        suv(read_volume(tmp_path / "x.dcm"))


def test_lean_mass_needs_height_and_sex(tmp_path):
    volume = pet(tmp_path / "s", PatientSize=None, PatientSex=None)
    with pytest.raises(InputError, match="PatientSize"):
        suv(volume, kind="lbm")
    with pytest.raises(InputError, match="PatientSex"):
        suv(volume, kind="lbm", height_cm=175)
    assert suv(volume, kind="lbm", height_cm=175, sex="male").array.max() > 0


def test_an_image_without_a_header_takes_everything_from_the_settings():
    array = np.linspace(0, 30000, 60, dtype=np.float64).reshape(3, 4, 5)
    volume = Volume(array, Geometry.from_spacing(array.shape))
    with pytest.raises(InputError, match="Units is missing"):
        suv(volume)
    every = {
        "units": "BQML", "weight_kg": 70, "dose_mbq": 370, "half_life_min": HALF_LIFE / 60, "delay_min": 60,
        "decay_correction": "START",
    }  # fmt: skip
    result = suv(volume, **every)
    np.testing.assert_allclose(result.array, body_weight_suv(3600, array), rtol=1e-12)
    assert result.array.dtype == np.float64
    assert [f.code for f in suv(volume.replace(modality="CT"), **every).flags] == ["MODALITY_MISMATCH"]


@pytest.mark.parametrize("bad", [{"weight_kg": 0}, {"dose_mbq": -1}, {"kind": "fat"}, {"delay_min": -5}])
def test_wrong_settings_are_refused_by_key(bad):
    volume = Volume(np.ones((2, 2, 2)), Geometry.from_spacing((2, 2, 2)))
    with pytest.raises(SettingsError, match=f"suv\\.{next(iter(bad))}"):
        suv(volume, **bad)


def test_the_report_of_a_pet_has_no_date_and_no_weight(tmp_path):
    from medai.report.exam import ALLOWED_META, exam_facts

    volume = pet(tmp_path / "s")
    text = str(exam_facts(volume))
    assert "PET" in text
    assert "3600" not in text
    assert not {"PatientWeight", "PatientSize", "PatientSex", "DecaySeconds"} & set(ALLOWED_META)
