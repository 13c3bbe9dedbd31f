// Work that moves other things waits until the pointer is up again: it would take from under it what somebody presses or drags.
let isDown = false;
let waiting = [];

function up() {
    isDown = false;
    const works = waiting;
    waiting = [];
    setTimeout(() => works.forEach((work) => work())); // the click, or the drag, comes first
}

window.addEventListener("pointerdown", ({ button }) => (isDown = button === 0), true); // of a menu, the end is not always told
for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, up, true); // a drag begins with the latter

export function afterPress(work) {
    if (isDown) waiting.push(work);
    else work();
}
