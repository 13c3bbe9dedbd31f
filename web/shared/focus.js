// The keyboard's place while the page changes. What had it and is taken away, hidden or disabled would leave it to ComfyUI,
// which would take the next key for its graph.

const holds = (element) => element.isConnected && !element.disabled && element.checkVisibility();

// Does work; if that took the focus from something within an element, rescue() gives it to something near.
export function keepFocus(within, work, rescue) {
    const inside = within.contains(document.activeElement);
    work();
    const now = document.activeElement;
    if (inside && (now === document.body || (within.contains(now) && !holds(now)))) rescue();
}

// Gives the keys to an element of a page that somebody opens. One that comes open with the window leaves them to the canvas.
export function takeKeys(element) {
    if (navigator.userActivation?.isActive) requestAnimationFrame(() => element.focus());
}

// What has the focus now and all around it, from the inside to the outside.
export function placesOfFocus() {
    const found = [];
    for (let one = document.activeElement; one; one = one.parentElement) found.push(one);
    return found;
}

// Gives the focus to the first of some elements that can be seen and can have it; whether there was one.
export function focusFirst(elements) {
    const canHave = (one) => holds(one) && (one.tabIndex >= 0 || one.hasAttribute("tabindex"));
    const found = elements.find(canHave);
    found?.focus();
    return Boolean(found);
}
