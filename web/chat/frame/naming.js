// A name that becomes a field in its place.
import { isComposing, make } from "../../shared/dom.js";

// element: what shows the name, and has the focus afterwards. keep(name): of another name that was typed. Enter or leaving the
// field keeps it, Esc does not. ended(): it is over, and nothing is to be kept.
export function editName(element, name, label, keep, ended = () => {}) {
    const input = make("input", { className: "ace-input", value: name, maxLength: 200, ariaLabel: label });
    let done = false;
    const end = (isWanted, isElsewhere = false) => {
        if (done) return;
        done = true;
        input.replaceWith(element);
        if (!isElsewhere) element.focus();
        if (isWanted && input.value.trim() && input.value !== name) keep(input.value);
        else ended();
    };
    input.addEventListener("keydown", (event) => {
        event.stopPropagation();
        if (isComposing(event)) return;
        if (event.key !== "Enter" && event.key !== "Escape") return;
        event.preventDefault(); // the element has the focus then, and Enter would click it
        end(event.key === "Enter");
    });
    input.addEventListener("blur", ({ relatedTarget }) => end(true, Boolean(relatedTarget)));
    element.replaceWith(input);
    input.focus();
    input.select();
}
