// window.stop() describes the element that has the focus: { first, last: whether it is
// the first or last one of the page, problem: why its focus is not visible, "" if it is }.
// window.missed() lists the actions that have not had the focus.
(() => {
  const actions = "a[href], button:enabled, input:enabled, select:enabled, summary, [tabindex='0']";
  const reachable = (e) => e.checkVisibility({ visibilityProperty: true }) && !(e.type === "radio" && !e.checked);
  const text = (e) => e.outerHTML.slice(0, 160);
  window.reached = new Set(); // by text: an update of the page replaces elements by equal ones
  window.missed = () => [...document.querySelectorAll(actions)].filter(reachable).map(text).filter((t) => !reached.has(t));
  window.stop = () => {
    const e = document.activeElement;
    reached.add(text(e));
    const { outlineStyle, outlineWidth } = getComputedStyle(e);
    const { left, top, width, height } = e.getClientRects()[0];
    const over = document.elementFromPoint(left + width / 2, top + height / 2);
    const problem = outlineStyle === "none" || parseFloat(outlineWidth) < 2 ? "shows no focus"
      : !over ? "is outside the window"
      : !e.contains(over) && !over.contains(e) ? `is covered by ${text(over)}` : "";
    return { last: e === [...document.querySelectorAll("footer a")].at(-1), first: e.matches(".skip"), problem: problem && `${problem}: ${text(e)}` };
  };
})()
