"""gencli: experiments on generalization in deep learning as shell pipelines."""

__version__ = "0.1.0"
