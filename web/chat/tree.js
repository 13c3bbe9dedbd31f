// The tree of turns as the page reads it. Everything here is plain data, without a page.

export const turnOf = (chat, id) => chat.turns.find((turn) => turn.id === id);

// All turns from the first to one.
export function pathTo(chat, id) {
    const byId = new Map(chat.turns.map((turn) => [turn.id, turn]));
    const path = [];
    for (let turn = byId.get(id); turn && path.length <= chat.turns.length; turn = byId.get(turn.parent)) path.push(turn);
    return path.reverse();
}

// A turn and those beside it, in the order in which they were asked.
export function siblings(chat, turn) {
    return chat.turns.filter((other) => other.parent === turn.parent);
}

// Where a branch goes on: the end of the line of last turns below one.
export function newestBelow(chat, id) {
    let turn = id;
    for (;;) {
        const below = chat.turns.filter((other) => other.parent === turn);
        if (!below.length) return turn;
        turn = below.at(-1).id;
    }
}

// The turns that follow one, or the beginning for null: along the branch in which a later one was seen, or the newest.
export function laterThan(chat, id, seen) {
    const line = (from) => pathTo(chat, newestBelow(chat, from));
    const after = (path) => path.slice(path.findIndex((turn) => turn.id === id) + 1);
    const along = line(seen);
    return id === null || along.some((turn) => turn.id === id) ? after(along) : after(line(id));
}

// The earlier turns that a new one under this head would send; as the server counts them.
export function roundsFor(chat, head, pictures, depth, most = 10) {
    if (!pictures || !depth) return [];
    let kept = pathTo(chat, head)
        .filter((turn) => turn.answer && turn.pictures.length)
        .slice(-depth);
    while (kept.reduce((sum, turn) => sum + turn.pictures.length, pictures) > most) kept = kept.slice(1);
    return kept;
}

// The nearest turn with an answer, towards the beginning.
export function answeredAt(chat, id) {
    return pathTo(chat, id).findLast((turn) => turn.answer) ?? null;
}

// All pictures of a conversation, the newest first, each with the name that people see.
export function allPictures(chat) {
    const found = new Map();
    for (const turn of [...chat.turns].reverse()) {
        if (turn.answer && !found.has(turn.answer.file)) found.set(turn.answer.file, `a${turn.number}`);
    }
    let uploads = 0;
    for (const turn of chat.turns) {
        for (const { file } of turn.pictures) if (!found.has(file)) found.set(file, `p${++uploads}`);
    }
    return [...found].map(([file, name]) => ({ file, name }));
}

// How ACE calls the picture of this index, without its brackets.
export const wordOf = (index) => (index ? `image${index}` : "image");
