"""Many functions -> one piece of machine code, optimised and kept on disk once.

numba makes machine code of every function that a kernel calls, and optimises that code again in each of its callers.
Here the functions that a kernel calls are only translated; they are joined in the kernel, and optimised there.
Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

import gc
from typing import Any, Final

from llvmlite import binding, ir
from numba.core import codegen, compiler, compiler_machinery, lowering, typed_passes, types

__all__ = ["Kernel", "Part"]

# Fields of what numba holds of an array.
_OWNER, _PARENT, _COUNT, _ITEM, _DATA, _SHAPE, _STRIDES = range(7)
_WHOLE: Final = ir.IntType(64)

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
        # Loops that are unrolled make more code, which is no faster here and takes half as long again to compile.
        options = binding.create_pipeline_tuning_options(speed_level=2)
        options.loop_vectorization, options.loop_unrolling, options.slp_vectorization = True, False, False
        builder = binding.create_pass_builder(self._codegen._tm, options)
        builder.getModulePassManager().run(self._final_module, builder)


def _add_with_parts(target: Any, library: Any) -> None:
    library._ensure_finalized()
    inner = library._linking_libraries if isinstance(library, _PartLibrary) else []
    for each in (library, *inner):
        if each not in target._linking_libraries:
            target._linking_libraries.append(each)


class _Lower(lowering.Lower):  # type: ignore[misc]
    """Translate places in arrays by two or three instructions.

    numba counts negative places from the end, and copies all that it knows of an array at each access: several times as
    much code to make, to write, to read and to optimise. Kernels count from the beginning.
    """

    def lower_getitem(self, resty: Any, expr: Any, value: Any, index: Any, signature: Any) -> Any:
        place = self._find_place(value, index)
        if place is None:
            return super().lower_getitem(resty, expr, value, index, signature)
        pointer, left = place
        if not left:
            found = self.builder.load(pointer)
            return self.context.cast(self.builder, found, self.typeof(value.name).dtype, resty)
        return self._make_row(self.loadvar(value.name), resty, pointer, left[0])

    def lower_setitem(self, target_var: Any, index_var: Any, value_var: Any, signature: Any) -> Any:
        place = self._find_place(target_var, index_var)
        if place is None or place[1]:
            return super().lower_setitem(target_var, index_var, value_var, signature)
        kind = self.typeof(target_var.name).dtype
        value = self.context.cast(self.builder, self.loadvar(value_var.name), self.typeof(value_var.name), kind)
        self.builder.store(value, place[0])
        return self.context.get_dummy_value()

    def _find_place(self, array: Any, index: Any) -> tuple[Any, list[Any]] | None:
        """Return the pointer, and the sizes of the dims that are left, None for what numba itself has to translate."""
        kind, wanted = self.typeof(array.name), self.typeof(index.name)
        members = list(getattr(wanted, "types", (wanted,)))  # of a tuple
        known = isinstance(kind, types.Array) and kind.layout == "C" and kind.dtype in (types.float64, types.int64)
        whole = all(isinstance(m, types.Integer | types.IntegerLiteral) for m in members)
        if not known or not whole or not len(members) >= kind.ndim - 1:
            return None
        do, held, given = self.builder, self.loadvar(array.name), self.loadvar(index.name)
        places = [do.extract_value(given, k) for k in range(len(members))] if given.type != _WHOLE else [given]
        places = [self.context.cast(do, p, m, types.intp) for p, m in zip(places, members, strict=True)]
        sizes = [do.extract_value(held, (_SHAPE, k)) for k in range(1, kind.ndim)]
        at = places[0]
        for k, size in enumerate(sizes):
            at = do.mul(at, size)
            at = do.add(at, places[k + 1]) if k + 1 < len(places) else at
        return do.gep(do.extract_value(held, _DATA), [at]), sizes[len(places) - 1 :]

    def _make_row(self, held: Any, resty: Any, pointer: Any, size: Any) -> Any:
        """Return the array of one dim that begins at a place of another array."""
        do, row = self.builder, ir.Constant(self.context.get_value_type(resty), ir.Undefined)
        for field in (_OWNER, _PARENT, _ITEM):
            row = do.insert_value(row, do.extract_value(held, field), field)
        row = do.insert_value(do.insert_value(row, size, _COUNT), pointer, _DATA)
        row = do.insert_value(row, size, (_SHAPE, 0))
        return do.insert_value(row, do.extract_value(held, _ITEM), (_STRIDES, 0))


@compiler_machinery.register_pass(mutates_CFG=True, analysis_only=False)
class _LowerPart(typed_passes.NativeLowering):  # type: ignore[misc]
    """Translate a function, and make no machine code of it."""

    _name = "usidx_lower_part"
    lowering_class = _Lower

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
    lowering_class = _Lower

    def run_pass(self, state: Any) -> bool:
        state.library = _KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return bool(super().run_pass(state))


class _Typing:
    """numba's knowledge of types, which remembers the types of calls: numba asks for each again and again.

    numba would compile a part once for each number that is written out in a call of it. Here they are numbers like all
    others: the parts are joined before they are optimised, and that finds the constants again.
    """

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def resolve_function_type(self, function: Any, args: Any, kws: Any) -> Any:
        if isinstance(function, types.Dispatcher):
            args = tuple(getattr(each, "literal_type", each) for each in args)
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
