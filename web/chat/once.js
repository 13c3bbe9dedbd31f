// What takes a moment is begun once, however often it is asked for meanwhile.

// attempt(work): does it, and says what went wrong. Gives once(kind, work): work about something with an id, of which one of a
// kind is under way at a time.
export function beginner(attempt) {
    const busy = new Set();
    return (kind, work) => async (one) => {
        const key = `${kind} ${one.id}`;
        if (busy.has(key)) return;
        busy.add(key);
        await attempt(() => work(one));
        busy.delete(key);
    };
}
