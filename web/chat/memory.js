// What this browser remembers: which conversation is open, in each window by itself, and what was being written in which.
const OPEN = "ACEEdit.Chat";
const DRAFT = "ACEEdit.Chat.Draft.";
const UNBEGUN = "new"; // where no picture and no turn has made a conversation yet

// The id of the conversation that this window shows; of a new window, that which was last open in any.
export const openedChat = () => sessionStorage.getItem(OPEN) ?? localStorage.getItem(OPEN);

// id: null for a conversation that has not begun.
export function rememberChat(id) {
    sessionStorage.setItem(OPEN, id ?? "");
    if (id) localStorage.setItem(OPEN, id);
    else localStorage.removeItem(OPEN);
}

const placeOf = (chat) => DRAFT + (chat ?? UNBEGUN);

export function readDraft(chat) {
    try {
        return JSON.parse(localStorage.getItem(placeOf(chat)) ?? "null");
    } catch {
        return null; // written by something else
    }
}

// draft: null for none.
export function keepDraft(chat, draft) {
    if (draft === null) localStorage.removeItem(placeOf(chat));
    else localStorage.setItem(placeOf(chat), JSON.stringify(draft));
}
