/** Where photos come from: the file dialog, dropping, pasting. */

export interface Inputs {
  readonly open: HTMLButtonElement;
  readonly file: HTMLInputElement;
  readonly frame: HTMLElement;
}

/** Call `take` with every photo that the visitor gives. */
export function listenForPhotos({ open, file, frame }: Inputs, take: (photo: File) => void): void {
  open.addEventListener("click", () => {
    file.click();
  });
  file.addEventListener("change", () => {
    takeFirst(file.files, take);
    file.value = "";
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    frame.classList.add("over");
  });
  document.addEventListener("dragleave", () => {
    frame.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    frame.classList.remove("over");
    takeFirst(event.dataTransfer?.files, take);
  });
  document.addEventListener("paste", (event) => {
    takeFirst(event.clipboardData?.files, take);
  });
}

function takeFirst(files: FileList | null | undefined, take: (photo: File) => void): void {
  const photo = files?.[0];
  if (photo) take(photo);
}
