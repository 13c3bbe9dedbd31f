// Keys that move through the list.

// Whether the key was one of them.
export function cursorKey(page, event) {
    const { grid, source, cursor } = page;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const steps = {
        ArrowLeft: -1,
        ArrowRight: 1,
        ArrowUp: -grid.columns,
        ArrowDown: grid.columns,
        PageUp: -grid.page,
        PageDown: grid.page,
        Home: -cursor,
        End: source.total - 1 - cursor,
    };
    if (event.altKey) return false;
    if (event.ctrlKey || event.metaKey) {
        if (key !== "a") return false;
        page.attempt(() => page.selection.all()).then(() => page.redraw());
        return true;
    }
    if (key in steps) {
        move(page, cursor + steps[key], event.shiftKey);
        return true;
    }
    const plain = {
        Enter: () => page.open(cursor),
        e: () => page.open(cursor, true),
        c: () => page.compare.open(),
        " ": () => {
            const item = source.get(cursor);
            if (item) page.selection.toggle(item, cursor);
            page.redraw();
        },
        "/": () => page.toolbar.search.focus(),
        "?": () => page.toggleHelp(),
        1: () => page.toolbar.set({ show: "kept" }),
        2: () => page.toolbar.set({ show: "rejected" }),
        3: () => page.toolbar.set({ show: "deleted" }),
        4: () => page.toolbar.set({ show: "proposed" }),
        Escape: () => {
            if (!page.help.hidden) return page.toggleHelp();
            page.selection.clear();
            page.tell("");
            page.redraw();
        },
    };
    plain[key]?.();
    return key in plain;
}

async function move(page, index, extends_) {
    if (extends_) page.selection.startAt(page.cursor);
    page.moveTo(index);
    if (!extends_) return;
    await page.attempt(() => page.selection.extend(page.cursor));
    page.redraw();
}
