// What is being written, as plain data: {parts, pictures, extend, seed, depth, editing, before}. editing: the turn that is asked
// again; before: what was being written when that began.

// Whether there is nothing in it that anybody would miss.
export function isNothing(draft) {
    if (!draft) return true;
    return !draft.parts.length && !draft.extend && !draft.seed && !draft.editing && draft.pictures.every(({ auto }) => auto);
}

// What could not be sent, and what was begun meanwhile, in one.
export function together(lost, begun) {
    if (begun.editing) return { ...begun, before: isNothing(begun.before) ? lost : together(lost, begun.before) };
    if (lost.editing) return isNothing(begun) ? lost : { ...lost, before: begun };
    if (isNothing(begun)) return lost;
    const chosen = begun.pictures.filter(({ file, auto }) => !auto && !lost.pictures.some((one) => one.file === file));
    const pictures = [...lost.pictures, ...chosen];
    const indexOf = (index) => pictures.findIndex(({ file }) => file === begun.pictures[index].file);
    const parts = begun.parts.map((part) => (typeof part === "number" ? indexOf(part) : part)).filter((part) => part !== -1);
    const between = lost.parts.length && parts.length ? ["\n"] : [];
    return { ...lost, parts: [...lost.parts, ...between, ...parts], pictures };
}
