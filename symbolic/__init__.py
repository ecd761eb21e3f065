"""SymPy derivations behind flowkit: kernels, gradients, Hessians, and their lowering to numbers.

Knows nothing of integration or plotting.  Importing the package loads no SymPy; its modules do.
"""
