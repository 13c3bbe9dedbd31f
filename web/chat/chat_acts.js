// What can be done with a conversation of the list.
import { beginner } from "./once.js";
import { server } from "./server.js";
import { texts } from "./texts.js";

export function chatActs(panel) {
    const attempt = (work) => panel.attempt(work);
    const once = beginner(attempt);

    // What takes deleted conversations back, for a notice.
    function restoring(...chats) {
        const restore = async () => {
            const { place, notice } = panel;
            const { said } = notice;
            try {
                const restored = await Promise.all(chats.map(({ id }) => server.restore(id)));
                if (notice.said === said) panel.tell(""); // else something else can be undone by now
                const opened = restored[chats.findIndex(({ wasOpen }) => wasOpen)];
                const isIdle = panel.view !== "list" && !panel.chat; // nothing is open that somebody would be taken away from
                const shown = opened ?? (isIdle ? restored.at(-1) : null);
                if (shown && place === panel.place) panel.take(shown, true);
                if (panel.view === "list") await panel.list.load(restored.at(-1).id);
            } catch (error) {
                panel.fail(error, "", restoring(...chats)); // to be tried again
            }
        };
        return [texts().undo, restore, chats];
    }

    async function remove(chat) {
        const wasOpen = panel.chat?.id === chat.id;
        const known = panel.runs.queued;
        if (wasOpen) panel.leave();
        try {
            await server.remove(chat.id);
        } catch (error) {
            if (wasOpen) panel.take(await server.read(chat.id), true, known);
            throw error;
        }
        const [, , earlier = []] = panel.notice.act ?? []; // while the notice stands, it takes all of them back
        const chats = [...earlier.filter(({ id }) => id !== chat.id), { ...chat, wasOpen }];
        const titles = chats.map(({ title }) => title || texts().untitled);
        panel.tell(texts().deleted(...titles), false, restoring(...chats));
        await panel.list.load();
    }

    return {
        restoring,
        open: (id) => panel.open(id),
        rename: (chat, title) =>
            attempt(async () => {
                const told = await server.edit(chat.id, { title });
                if (told.id === panel.chat?.id) panel.take(told);
                await panel.list.load();
            }),
        remove: once("remove", remove),
        exportChat: (chat) => attempt(async () => panel.tell(texts().exported(await server.export(chat.id)))),
        fail: (error) => panel.fail(error),
    };
}
