"""Many functions -> one piece of machine code, optimised and kept on disk once.

numba makes machine code of every function that a kernel calls, and optimises that code again in each of its callers.
Here the functions that a kernel calls are only translated; they are joined in the kernel, and optimised there.
Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

from typing import Any

from numba.core import codegen, compiler, compiler_machinery, typed_passes

__all__ = ["Kernel", "Part"]


class _PartLibrary(codegen.JITCodeLibrary):  # type: ignore[misc]
    """Code of one function, as translated."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def add_linking_library(self, library: Any) -> None:
        _add_with_parts(self, library)

    def finalize(self) -> None:
        self._raise_if_finalized()
        self._finalize_dynamic_globals()
        self._finalized = True


class _KernelLibrary(codegen.JITCodeLibrary):  # type: ignore[misc]
    """Code of a kernel and of all that it calls."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def add_linking_library(self, library: Any) -> None:
        _add_with_parts(self, library)

    def _optimize_final_module(self) -> None:
        manager, builder = self._codegen._module_pass_manager()
        manager.run(self._final_module, builder)


def _add_with_parts(target: Any, library: Any) -> None:
    library._ensure_finalized()
    inner = library._linking_libraries if isinstance(library, _PartLibrary) else []
    for each in (library, *inner):
        if each not in target._linking_libraries:
            target._linking_libraries.append(each)


@compiler_machinery.register_pass(mutates_CFG=True, analysis_only=False)
class _LowerPart(typed_passes.NativeLowering):  # type: ignore[misc]
    """Translate a function, and make no machine code of it."""

    _name = "usidx_lower_part"

    def run_pass(self, state: Any) -> bool:
        flags = state.flags
        flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        super().run_pass(state)
        lowered = state["cr"]
        # Stands for the machine code that there is none of: numba wants an object of this type that is like no other.
        stand_in = object().__reduce__
        state.targetctx.insert_user_function(stand_in, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=stand_in)
        return True


@compiler_machinery.register_pass(mutates_CFG=True, analysis_only=False)
class _LowerKernel(typed_passes.NativeLowering):  # type: ignore[misc]
    """Translate a function and make machine code of it and of all that it calls."""

    _name = "usidx_lower_kernel"

    def run_pass(self, state: Any) -> bool:
        state.library = _KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return bool(super().run_pass(state))


class _Pipeline(compiler.CompilerBase):  # type: ignore[misc]
    lowering: Any

    def define_pipelines(self) -> list[Any]:
        manager = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.passes = [
            (self.lowering, why) if step is typed_passes.NativeLowering else (step, why) for step, why in manager.passes
        ]
        manager.finalize()
        return [manager]


class Part(_Pipeline):
    """Compile a function that only kernels call."""

    lowering = _LowerPart


class Kernel(_Pipeline):
    """Compile a kernel."""

    lowering = _LowerKernel
