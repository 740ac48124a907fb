// "Ask again" without a page load, so that what another worker answers differently stands out.
// Without JavaScript the button is the link it looks like.
const button = document.querySelector("#again");

button.addEventListener("click", async (event) => {
  event.preventDefault();
  button.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(button.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const before = document.querySelector("main");
    const after = page.querySelector("main");
    const old = before.querySelectorAll("[data-fact]");
    after.querySelectorAll("[data-fact]").forEach((fact, index) => {
      if (old[index]?.textContent !== fact.textContent) fact.classList.add("changed");
    });
    before.replaceWith(after);
  } catch {
    location.assign(button.href);
  } finally {
    button.removeAttribute("aria-busy");
  }
});
