"""What the combo boxes of MedAI Segment offer; ``label`` is what people read, the value is the library's word."""

from enum import Enum

from slicer.i18n import tr as _


class Denoise(Enum):
    NONE = "none"
    GAUSSIAN = "gaussian"
    MEDIAN = "median"

    def label(self):
        return {"none": _("None"), "gaussian": _("Gaussian"), "median": _("Median")}[self.value]


class Method(Enum):
    UNET = "unet"
    OTSU = "otsu"
    MANUAL = "manual"
    RECIPE = "recipe"
    STEPS = "steps"

    def label(self):
        return {
            "unet": _("U-Net"),
            "otsu": _("Threshold (Otsu)"),
            "manual": _("Threshold (manual)"),
            "recipe": _("Recipe"),
            "steps": _("Own steps"),
        }[self.value]


class Region(Enum):
    ATLAS = "atlas"
    IMAGE = "image"
    BOX = "box"

    def label(self):
        return {"atlas": _("Find by atlas"), "image": _("Whole image"), "box": _("Inside a box")}[self.value]


class Side(Enum):
    LEFT = "left"
    RIGHT = "right"

    def label(self):
        return {"left": _("Left"), "right": _("Right")}[self.value]


class Device(Enum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"

    def label(self):
        return {"auto": _("Automatic"), "cpu": _("CPU"), "cuda": _("GPU (CUDA)"), "mps": _("GPU (Apple)")}[self.value]


class Backend(Enum):
    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"

    def label(self):
        names = {"torch": "PyTorch", "openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}
        return names.get(self.value) or _("Automatic")


class Precision(Enum):
    AUTO = "auto"
    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"

    def label(self):
        return {
            "auto": _("Automatic"),
            "f32": _("Single (f32)"),
            "f16": _("Half (f16)"),
            "bf16": _("Half (bf16)"),
        }[self.value]


class Mirror(Enum):
    AUTO = "auto"
    ON = "on"
    OFF = "off"

    def label(self):
        return {"auto": _("As the model says"), "on": _("On"), "off": _("Off")}[self.value]


class Uncertainty(Enum):
    NONE = "none"
    ENTROPY = "entropy"
    ENSEMBLE = "ensemble"
    DROPOUT = "dropout"

    def label(self):
        return {
            "none": _("Off"),
            "entropy": _("Entropy of the probabilities"),
            "ensemble": _("Agreement of mirrorings and members"),
            "dropout": _("Repeated runs with dropout"),
        }[self.value]


class View(Enum):
    RED = "Red"
    YELLOW = "Yellow"
    GREEN = "Green"

    def label(self):
        return {"Red": _("Red (axial)"), "Yellow": _("Yellow (sagittal)"), "Green": _("Green (coronal)")}[self.value]
