// Files from the person, which are chosen, dropped or pasted, and small views of pictures.

const TYPES = ".png,.jpg,.jpeg,.webp,.tif,.tiff,.bmp,image/*";
const input = () => document.getElementById("file");

/** A promise of the file that the person chooses, or null. */
export function choose(accept = TYPES) {
  return new Promise((resolve) => {
    const field = input();
    field.accept = accept;
    field.value = "";
    field.onchange = () => resolve(field.files[0] ?? null);
    field.oncancel = () => resolve(null);
    field.click();
  });
}

/** Calls `take(file, target)` with each file that is dropped on the page or pasted into it. */
export function receive(take) {
  const veil = document.getElementById("drop");
  let depth = 0;
  const show = (on) => (veil.hidden = !on);
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => carries(event) && (event.preventDefault(), depth++, show(true)));
  addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  addEventListener("dragleave", (event) => carries(event) && --depth <= 0 && ((depth = 0), show(false)));
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth = 0;
    show(false);
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0], event.target);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])][0];
    if (file) take(file, event.target);
  });
}

/** Whether a file is the file of a session. */
export const isSession = (file) => file.name?.endsWith(".json") || file.type === "application/json";

/** Draws the middle of a picture so that it covers a canvas; the result is false if the browser cannot show it. */
export async function preview(source, canvas) {
  try {
    const picture = await createImageBitmap(source);
    const scale = Math.max(canvas.width / picture.width, canvas.height / picture.height);
    const [w, h] = [picture.width * scale, picture.height * scale];
    const ctx = canvas.getContext("2d");
    ctx.imageSmoothingQuality = "high";
    ctx.drawImage(picture, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
    return true;
  } catch {
    return false;
  }
}
