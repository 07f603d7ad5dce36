"""A plugin of mypy that knows ``.usid``: put ``plugins = ["usidx.mypy_plugin"]`` under ``[tool.mypy]``.

For mypy every attribute of xarray's objects that it does not know is of type Any. This names the class of the
accessor, whose methods are typed, and looks the verbs of families up in their modules. Only mypy imports it.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.checker import TypeChecker
from mypy.errorcodes import ATTR_DEFINED
from mypy.messages import format_type_bare
from mypy.nodes import Decorator, FuncDef, OverloadedFuncDef, SymbolNode, TypeInfo
from mypy.plugin import AttributeContext, Plugin
from mypy.subtypes import is_subtype
from mypy.typeops import bind_self
from mypy.types import CallableType, Instance, LiteralType, Overloaded, Type, get_proper_type

__all__ = ["UsidPlugin", "plugin"]

_ACCESSORS = {
    "xarray.core.dataarray.DataArray": "usidx.accessor.UsidDataArrayAccessor",
    "xarray.core.dataset.Dataset": "usidx.accessor.UsidDatasetAccessor",
    "xarray.core.datatree.DataTree": "usidx.accessor.UsidDataTreeAccessor",
}
# Where xarray's objects get `__getattr__` from.
_ANY_ATTRIBUTE = "xarray.core.common.AttrAccessMixin"
_FAMILY = "usidx.accessor.Family"


class UsidPlugin(Plugin):
    """Answer for ``data.usid`` and for ``data.usid.<family>.<verb>``."""

    def get_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], Type] | None:
        """Return what tells the type of an attribute, for the attributes that are known here."""
        owner, _, name = fullname.rpartition(".")
        if owner == _ANY_ATTRIBUTE and name == "usid":
            return _accessor_of
        if owner == _FAMILY:
            return lambda context: _verb_of(context, name)
        return None


def plugin(version: str) -> type[Plugin]:
    """Return the plugin, as mypy asks for it."""
    return UsidPlugin


def _accessor_of(context: AttributeContext) -> Type:
    owner = get_proper_type(context.type)
    names = [info.fullname for info in owner.type.mro] if isinstance(owner, Instance) else []
    found = next((_ACCESSORS[name] for name in names if name in _ACCESSORS), "")
    accessor = _symbol(context, found)
    return Instance(accessor, []) if isinstance(accessor, TypeInfo) else context.default_attr_type


def _verb_of(context: AttributeContext, name: str) -> Type:
    """Return the type of a verb of a family, without the object that it takes first."""
    family = get_proper_type(context.type)
    data, module = map(get_proper_type, family.args) if isinstance(family, Instance) else (None, None)
    if data is None or not isinstance(module, LiteralType):
        return context.default_attr_type
    own = str(module.value).rpartition(".")[2]
    verb = _symbol(context, f"{module.value}.{own}_{name}") or _symbol(context, f"{module.value}.{name}")
    if verb is None:
        context.api.fail(f'"{module.value}" has no verb "{name}"', context.context, code=ATTR_DEFINED)
    declared = get_proper_type(verb.type) if isinstance(verb, FuncDef | OverloadedFuncDef | Decorator) else None
    if not isinstance(declared, CallableType | Overloaded):
        return context.default_attr_type
    if _refuses(declared, data):
        kind = format_type_bare(data, context.api.options)
        context.api.fail(f'"{name}" of "{module.value}" is not for a {kind}', context.context)
    return bind_self(declared, data)


def _refuses(verb: CallableType | Overloaded, data: Type) -> bool:
    """Say whether a verb surely takes another kind of object; of generic ones mypy finds out at the call."""
    is_plain = isinstance(verb, CallableType) and not verb.variables and bool(verb.arg_types)
    return is_plain and not is_subtype(data, verb.items[0].arg_types[0])


def _symbol(context: AttributeContext, fullname: str) -> SymbolNode | None:
    """Return what a public name stands for; None where mypy has not read its module, or there is no such name."""
    assert isinstance(context.api, TypeChecker)
    module, _, name = fullname.rpartition(".")
    symbol = context.api.modules[module].names.get(name) if module in context.api.modules else None
    return symbol.node if symbol is not None and symbol.module_public else None
