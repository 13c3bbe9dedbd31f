// What can be done with a conversation of the list.
import { server } from "./server.js";
import { texts } from "./texts.js";

export function chatActs(panel) {
    const attempt = (work) => panel.attempt(work);

    // What takes a deleted conversation back, for a notice.
    function restoring(chat) {
        const restore = () =>
            attempt(async () => {
                const restored = await server.restore(chat.id);
                panel.tell("");
                if (panel.view === "list") await panel.list.load();
                else panel.take(restored, true);
            });
        return [texts().undo, restore];
    }

    return {
        restoring,
        open: (id) => panel.open(id),
        rename: (chat) => panel.open(chat.id).then(() => panel.bar.edit()),
        remove: (chat) =>
            attempt(async () => {
                const wasOpen = panel.chat?.id === chat.id;
                if (wasOpen) panel.leave();
                try {
                    await server.remove(chat.id);
                } catch (error) {
                    if (wasOpen) panel.take(await server.read(chat.id), true);
                    throw error;
                }
                panel.tell(texts().deleted(chat.title || texts().untitled), false, restoring(chat));
                await panel.list.load();
            }),
        exportChat: (chat) => attempt(async () => panel.tell(texts().exported(await server.export(chat.id)))),
        fail: (error) => panel.fail(error),
    };
}
