// Attributes of the page that run or style something; and from now on what breaks the policy.
() => {
  if (!window.broken) {
    window.broken = [];
    document.addEventListener("securitypolicyviolation", (event) => window.broken.push(event.violatedDirective));
  }
  const names = [...document.querySelectorAll("*")].flatMap((element) => element.getAttributeNames());
  return names.filter((name) => name.startsWith("on") || name === "style");
};
