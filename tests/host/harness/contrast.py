"""Texts on a page that are hard to read."""

from __future__ import annotations

# Texts whose contrast with what lies behind them is below the 4.5 of WCAG 2.2, 1.4.3. Disabled buttons need none.
WEAK_TEXTS = """(place) => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const behind = (element) => {
        if (!element) return [255, 255, 255];
        const [r, g, b, a] = rgba(getComputedStyle(element).backgroundColor);
        if (a === 255) return [r, g, b];
        return behind(element.parentElement).map((below, i) => ([r, g, b][i] * a + below * (255 - a)) / 255);
    };
    const light = (color) => {
        const [r, g, b] = color.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = [];
    for (const element of document.querySelectorAll(`${place} *`)) {
        const texts = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim());
        if (!texts.length || !element.checkVisibility() || element.matches(':disabled, option')) continue;
        const [one, two] = [light(rgba(getComputedStyle(element).color).slice(0, 3)), light(behind(element))];
        const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
        if (contrast < 4.5) found.push(`${element.className}: ${texts[0].data.trim().slice(0, 30)} ${contrast.toFixed(2)}`);
    }
    return found;
}"""
