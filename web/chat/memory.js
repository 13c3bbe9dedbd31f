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

// Each window has its own draft; a window that has none yet begins with the last of any.
export function readDraft(chat) {
    const place = placeOf(chat);
    try {
        return JSON.parse(sessionStorage.getItem(place) ?? localStorage.getItem(place) ?? "null");
    } catch {
        return null; // written by something else
    }
}

// draft: null for none.
export function keepDraft(chat, draft) {
    const [place, text] = [placeOf(chat), JSON.stringify(draft)];
    const mine = sessionStorage.getItem(place);
    sessionStorage.setItem(place, text);
    if (draft !== null) localStorage.setItem(place, text);
    else if (localStorage.getItem(place) === mine) localStorage.removeItem(place); // else it is of another window
}
