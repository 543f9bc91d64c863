"""A double of TensorRT: see faults.py."""

from tests.inference.doubles.cards.faults import CARD
from tests.inference.gpu.nvinfer import TensorRt

_module = TensorRt(CARD)
__version__ = _module.__version__
ILogger, IProgressMonitor = _module.ILogger, _module.IProgressMonitor
MemoryPoolType, NetworkDefinitionCreationFlag = _module.MemoryPoolType, _module.NetworkDefinitionCreationFlag
TensorIOMode, DataType = _module.TensorIOMode, _module.DataType
Builder, OnnxParser, Runtime = _module.Builder, _module.OnnxParser, _module.Runtime
