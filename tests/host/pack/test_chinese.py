"""The pack in Chinese: menus, hints, what nodes say, errors; what is saved and sent stays the same."""

from __future__ import annotations

import json

import pytest
from host.harness.comfy_server import PACK_ROOT, Graph, PromptFailedError

from .test_front_end import picture_graph

NAMES = json.loads((PACK_ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))

SAID = {
    "step 12 of 300 · loss 0.0312 · 1.5 min left": "第 12 / 300 步 · 损失 0.0312 · 剩余 1.5 分钟",
    "note: 3 pairs kept, 1 rejected": "提示：3 对已保存，1 对被拒绝",
    "sweep: 3 of 14, 2 min left": "批量捕获：3 / 14，剩余 2 分钟",
    "sweep: done": "批量捕获：完成",
    "The student can take the teacher's place: fine detail is kept.": "学生模型可以取代教师：细节得到保留。",
    "something that is not in the list": "something that is not in the list",
}


@pytest.fixture
def page(nodes_2, comfy, reuse_page):
    return reuse_page(comfy, locale="zh-CN", nodes_2=nodes_2)


def test_menus_switches_and_hints_are_chinese(open_page, comfy, nodes_2):
    page = open_page(comfy, locale="zh-CN", nodes_2=nodes_2)  # its nodes are made by hand
    shown = page.page.evaluate(
        """() => { app.graph.clear();
            const make = (type, x) => { const node = LiteGraph.createNode(type); app.graph.add(node);
                node.pos = [x, 60]; return node };
            const [sampler, instruction] = [make("ACESampler", 0), make("ACEInstruction", 450)];
            const bundle = make("ACELoadBundle", 900);
            const widget = (node, name) => node.widgets.find(one => one.name === name);
            const menu = widget(sampler, "resolution");
            app.extensionManager.command.execute("Comfy.Canvas.FitView");
            return {value: menu.value, label: menu.options.getOptionLabel(menu.value),
                task: widget(instruction, "task").options.getOptionLabel("Repainting / Outpaint"),
                hint: (widget(sampler, "negative").element ?? widget(sampler, "negative").inputEl).placeholder,
                download: [widget(bundle, "download").options.on, widget(bundle, "download").options.off]} }"""
    )
    page.settle()
    page.screenshot("chinese-nodes")
    assert shown == {
        "value": "as the model",
        "label": "按模型",
        "task": "重绘 / 扩图",
        "hint": "不想要的内容（可留空）",
        "download": ["缺失时", "从不"],
    }
    saved = page.save_workflow_json()["nodes"]
    assert "as the model" in next(node for node in saved if node["type"] == "ACESampler")["widgets_values"]
    # Nodes of Vue show an option by its own name in front ends before 1.49, whatever a pack calls it.
    version = page.page.evaluate("() => window.__COMFYUI_FRONTEND_VERSION__").split(".")
    if page.page.evaluate("() => Boolean(LiteGraph.vueNodesMode)") and int(version[1]) >= 49:
        assert page.page.get_by_text("按模型", exact=True).first.is_visible()


def test_an_error_is_said_in_chinese(page):
    page.load_prompt(picture_graph(["{image}", "{image}", "auto"]))
    with pytest.raises(PromptFailedError) as failure:
        page.queue()
    assert "two pictures claim the indicator {image}" in failure.value.error.message  # of the server
    page.settle()
    title, text = page.page.locator(".ace-notice.ace-error").inner_text().split("\n\n")[:2]
    assert title == NAMES["ACEConditionUnit"]["display_name"]
    assert text.startswith("两张图像都使用指示词 {image}")
    said = page.page.evaluate(
        "() => String(app.graph.nodes.find(n => n.type === 'ACEConditionUnit').widgets.at(-1).value)"
    )
    assert said.startswith("两张图像都使用指示词 {image}")
    page.screenshot("chinese-error")


def test_what_a_node_says_is_translated_and_other_packs_texts_are_not(page):
    g = Graph()
    g.node("ACELoadDataset")
    g.node("PreviewAny", source="")
    page.load_prompt(g)
    said = page.page.evaluate(
        """async text => {
            const { api } = await import("/scripts/api.js");
            return app.graph.nodes.map(node => {
                const detail = {nodeId: String(node.id), text};
                api.dispatchCustomEvent("progress_text", detail);
                return detail.text; }) }""",
        "\n".join(SAID),
    )
    assert [line.rstrip() for line in said[0].split("\n")] == list(SAID.values())
    assert said[1] == "\n".join(SAID)


def test_what_a_node_shows_is_translated_line_by_line(page, comfy, nodes_2):
    g = Graph()
    picture = g.node("EmptyImage", width=64, height=64, batch_size=1, color=0x204060)
    result = g.node(
        "ACECapturePair", source=picture, result=picture, instruction="{image}", dataset="said", tags="", seed=-1
    )
    g.set(result, checks="")
    page.load_prompt(g)
    page.queue()
    page.settle()
    # Pairs are written beside the run, so the text may come after its end.
    shown = page.page.wait_for_function(
        """() => app.graph.nodes.find(node => node.type === "ACECapturePair").widgets
            .find(widget => widget.name === "$$node-text-preview")?.value"""
    ).json_value()
    assert shown.startswith("✗ 未保存，已被拒绝：")
    assert len(shown.splitlines()) > 1
    assert all(line.endswith("  ") for line in shown.splitlines()[:-1]) == nodes_2
    page.screenshot("chinese-said")
    below = page.page.evaluate(
        """() => { const node = app.graph.nodes.find(node => node.type === "ACECapturePair");
            return LiteGraph.vueNodesMode ? 0 : node.computeSize()[1] - node.size[1] }"""
    )
    assert below <= 0  # its picture and its text lie within it
