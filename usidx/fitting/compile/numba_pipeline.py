"""Many functions -> one piece of machine code, optimised and kept on disk once.

numba makes machine code of every function that a kernel calls, and optimises that code again in each of its callers.
Here the functions that a kernel calls are only translated; they are joined in the kernel, and optimised there.
Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

import gc
from typing import Any, Final

from numba.core import codegen, compiler, compiler_machinery, typed_passes

__all__ = ["Kernel", "Part"]


# Steps of numba for what kernels do not have: closures, dead branches, literals, `with`, loops over tuples,
# listings for people.
_IDLE: Final = frozenset(
    {
        "WithLifting",
        "InlineClosureLikes",
        "RewriteSemanticConstants",
        "DeadBranchPrune",
        "RewriteDynamicRaises",
        "MakeFunctionToJitFunction",
        "InlineInlinables",
        "FindLiterallyCalls",
        "LiteralUnroll",
        "LiteralPropagationSubPipelinePass",
        "InlineOverloads",
        "NopythonRewrites",
        "NoPythonSupportedFeatureValidation",
        "AnnotateTypes",
    }
)


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
        made = self._codegen._module_pass_manager()
        if isinstance(made, tuple):
            manager, builder = made
            manager.run(self._final_module, builder)
        else:  # numba before LLVM's newer way of running passes
            super()._optimize_final_module()


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


class _Typing:
    """numba's knowledge of types, which remembers the types of calls: numba asks for each again and again."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def resolve_function_type(self, function: Any, args: Any, kws: Any) -> Any:
        key = function, tuple(args), tuple(sorted(kws.items()))
        if key not in _known_calls:
            found = self._context.resolve_function_type(function, args, kws)
            if found is None:
                return None
            _known_calls[key] = found
        return _known_calls[key]


_known_calls: dict[Any, Any] = {}


class _Pipeline(compiler.CompilerBase):  # type: ignore[misc]
    lowering: Any

    def compile_extra(self, func: Any) -> Any:
        # Compiling makes millions of objects that live to its end: looking for garbage among them takes long.
        collects = gc.isenabled()
        gc.disable()
        try:
            return super().compile_extra(func)
        finally:
            if collects:
                gc.enable()

    def define_pipelines(self) -> list[Any]:
        manager = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        wanted = [(step, why) for step, why in manager.passes if step.__name__ not in _IDLE]
        manager.passes = [(self.lowering if s is typed_passes.NativeLowering else s, why) for s, why in wanted]
        self.state.typingctx = _Typing(self.state.typingctx)
        manager.finalize()
        return [manager]


class Part(_Pipeline):
    """Compile a function that only kernels call."""

    lowering = _LowerPart


class Kernel(_Pipeline):
    """Compile a kernel."""

    lowering = _LowerKernel
