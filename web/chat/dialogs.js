// What is shown over the whole page: a dialog that Esc closes and that keeps keys to itself.
import { make } from "../shared/dom.js";
import { texts } from "./texts.js";

// title: in its bar. content: what it shows. options.tools: elements in the bar; options.keys: from an event, whether it was
// taken. Returns the dialog; it is gone when it is closed.
export function showDialog(title, content, { tools = [], keys = () => false, closed = () => {} } = {}) {
    const words = texts();
    const close = make("button", { type: "button", className: "ace-button", title: words.close, onclick: () => dialog.close() }, "✕");
    close.setAttribute("aria-label", words.close);
    const bar = make("div", { className: "ace-bar" }, make("b", {}, title), make("span", { className: "ace-space" }), ...tools, close);
    const dialog = make("dialog", { className: "ace-viewer ace-chat-dialog", ariaLabel: title }, bar, content);
    const before = document.activeElement;
    dialog.addEventListener("keydown", (event) => {
        event.stopPropagation(); // ComfyUI would take keys for its graph
        if (keys(event)) event.preventDefault();
    });
    dialog.addEventListener("close", () => {
        dialog.remove();
        closed();
        before?.focus?.();
    });
    document.body.append(dialog);
    dialog.showModal();
    return dialog;
}
