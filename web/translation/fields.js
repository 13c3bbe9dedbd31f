// What the files in locales/ cannot translate: options of menus, words of switches, hints in empty text boxes, and tooltips of
// fields that an option of a menu brings along. What is saved and sent to the server stays as it is; only what is shown differs.
import { app } from "../../../scripts/app.js";
import { isOurs, isTranslated } from "../shared/page.js";
import { callAfter, widgetOf } from "../shared/widgets.js";
import { options } from "./options_zh.js";

const JOINTS = [" / ", ": "]; // of an option that is put together of words

const word = (value) => options[value] ?? value;

function shown(value) {
    const joint = value in options ? undefined : JOINTS.find((joint) => String(value).includes(joint));
    return joint ? value.split(joint).map(word).join(joint) : word(value);
}

function translate(widget, label) {
    const box = widget.element ?? widget.inputEl;
    if (box?.placeholder) box.placeholder = box.placeholder === widget.name ? label : shown(box.placeholder);
    const { options: given } = widget;
    if (given?.values) given.getOptionLabel = (value) => shown(value ?? "");
    if (widget.type === "toggle" && given.on) Object.assign(given, { on: shown(given.on), off: shown(given.off) });
}

app.registerExtension({
    name: "ACEEdit.Fields",
    beforeRegisterNodeDef(nodeType, nodeData) {
        if (!isOurs(nodeData)) return;
        callAfter(nodeType.prototype, "onInputAdded", function (input) {
            // The socket of such a widget comes right after it.
            const widget = input.widget && widgetOf(this, input.widget.name);
            if (!widget || !isTranslated()) return;
            translate(widget, input.localized_name ?? widget.label ?? widget.name);
            widget.tooltip = undefined; // newer front ends put the server's English one before the translation that they have
        });
    },
});
