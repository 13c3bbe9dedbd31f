// Keys of the list of turns.

// Whether the key was one of them.
export function turnKey(panel, event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const { thread, acts } = panel;
    const turn = thread.current;
    const answered = (work) => () => turn?.answer && work(turn);
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const plain = {
        ArrowUp: () => thread.move(-1),
        ArrowDown: () => thread.move(1),
        ArrowLeft: () => turn && panel.beside(turn, -1),
        ArrowRight: () => turn && panel.beside(turn, 1),
        Enter: () => (turn ? acts.goOn(turn) : panel.composer.field.focus()),
        r: answered(acts.retry),
        e: () => turn && acts.edit(turn),
        c: answered(acts.compare),
        m: answered(acts.mask),
        w: answered(event.shiftKey ? acts.branch : acts.workflow),
        d: answered(acts.dataset),
        u: () => panel.undo(),
        n: () => panel.create(),
        "/": () => panel.composer.field.focus(),
        "?": () => panel.toggleHelp(),
        Escape: () => panel.show(),
    };
    plain[key]?.();
    return key in plain;
}
