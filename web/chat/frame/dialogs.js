// What is shown over the whole page: a dialog that Esc closes and that keeps keys to itself.
import { make } from "../../shared/dom.js";
import { focusFirst, placesOfFocus } from "../../shared/focus.js";
import { texts } from "../texts.js";

// title: in its bar. content: what it shows. options.tools: elements in the bar; options.keys: from an event, whether it was
// taken; options.leave: what the button ✕ does, if not close it. Returns the dialog; it is gone when it is closed.
export function showDialog(title, content, { tools = [], keys = () => false, closed = () => {}, leave = null } = {}) {
    const words = texts();
    const onclick = () => (leave ? leave() : dialog.close());
    const close = make("button", { type: "button", className: "ace-button", title: words.close, onclick }, "✕");
    close.setAttribute("aria-label", words.close);
    const bar = make("div", { className: "ace-bar" }, make("b", {}, title), make("span", { className: "ace-space" }), ...tools, close);
    const dialog = make("dialog", { className: "ace-viewer ace-chat-dialog", ariaLabel: title }, bar, content);
    const before = placesOfFocus();
    dialog.addEventListener("keydown", (event) => {
        event.stopPropagation(); // ComfyUI would take keys for its graph
        if (keys(event)) event.preventDefault();
    });
    dialog.addEventListener("close", () => {
        dialog.remove();
        // What had the focus may be gone, or in a menu that is folded away again.
        focusFirst([...before, ...document.querySelectorAll(".ace-chat-thread, .ace-chat-field")]);
        closed();
    });
    document.body.append(dialog);
    dialog.showModal();
    return dialog;
}
