"""Which nodes a node selector shows, what it calls their classes, and how it makes new ones."""

from __future__ import annotations

from typing import Any


def _attribute_matches(node: Any, name: str, value: Any) -> bool:
    found = node.GetAttribute(name)
    return found is not None if value is None else found == value


class NodeKindsMixin:
    """The part of qMRMLNodeComboBox that knows about classes and attributes of nodes, not about items."""

    def _host_shows(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self._host_show_hidden:
            return False
        for kind in self._host_node_types:
            exact = node.GetClassName() == kind
            if not exact and not (self._host_show_children and node.IsA(kind)):
                continue
            if not exact and any(node.IsA(hidden) for hidden in self._host_hide_child_types):
                continue
            wanted = self._host_attributes.get(kind, {})
            if all(_attribute_matches(node, name, value) for name, value in wanted.items()):
                return True
        return False

    def addNode(self, node_type: str | None = None) -> Any:
        scene = self.mrmlScene()
        kind = node_type or (self._host_node_types[0] if self._host_node_types else None)
        if scene is None or kind not in self._host_node_types:
            return None
        node = scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        node.SetName(scene.GenerateUniqueName(self._host_base_names.get(kind) or self.nodeTypeLabel(kind)))
        for name, value in self._host_attributes.get(kind, {}).items():
            node.SetAttribute(name, value)
        scene.AddNode(node)
        if self._host_select_new:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        node = self.currentNode()
        if node is not None:
            self.mrmlScene().RemoveNode(node)

    def nodeTypeLabel(self, node_type: str) -> str:
        scene = self.mrmlScene()
        label = self._host_labels.get(node_type)
        if not label and scene is not None:
            label = scene.GetTypeDisplayNameByClassName(node_type)
        return label or "node"

    def setNodeTypeLabel(self, label: str, node_type: str) -> None:
        self._host_labels[node_type] = label
        self._host_refill()

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        self._host_attributes.setdefault(node_type, {})[name] = value
        self._host_refill()

    def removeAttribute(self, node_type: str, name: str) -> None:
        self._host_attributes.get(node_type, {}).pop(name, None)
        self._host_refill()

    def setBaseName(self, base_name: str, node_type: str = "") -> None:
        for kind in [node_type] if node_type else self._host_node_types:
            self._host_base_names[kind] = base_name
