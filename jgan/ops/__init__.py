"""Functions on arrays: convolution lowering, resampling, pixels."""
