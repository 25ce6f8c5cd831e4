namespace WebVm.Vmm.Keys;

/// <summary>
/// A physical key by its place on a keyboard, whatever is printed on it: the names of KeyboardEvent.code (W3C UI Events KeyboardEvent code
/// Values). All of them that the PS/2 keyboards of their specifications can send are here. There is none for Fn and FnLock, which keyboards
/// keep to themselves, for the keypads of calculators, and for the keys of Sun's keyboards that Windows never had (Again, Find, Open,
/// Props, Select).
/// </summary>
public enum KeyCode : byte
{
    None,
    Escape, F1, F2, F3, F4, F5, F6, F7, F8, F9, F10, F11, F12,
    F13, F14, F15, F16, F17, F18, F19, F20, F21, F22, F23, F24,
    Backquote, Digit1, Digit2, Digit3, Digit4, Digit5, Digit6, Digit7, Digit8, Digit9, Digit0, Minus, Equal, Backspace,
    Tab, KeyQ, KeyW, KeyE, KeyR, KeyT, KeyY, KeyU, KeyI, KeyO, KeyP, BracketLeft, BracketRight, Backslash,
    CapsLock, KeyA, KeyS, KeyD, KeyF, KeyG, KeyH, KeyJ, KeyK, KeyL, Semicolon, Quote, Enter,
    ShiftLeft, IntlBackslash, KeyZ, KeyX, KeyC, KeyV, KeyB, KeyN, KeyM, Comma, Period, Slash, ShiftRight,
    ControlLeft, MetaLeft, AltLeft, Space, AltRight, MetaRight, ContextMenu, ControlRight,
    PrintScreen, ScrollLock, Pause, Insert, Home, PageUp, Delete, End, PageDown, ArrowUp, ArrowLeft, ArrowDown, ArrowRight,
    NumLock, NumpadDivide, NumpadMultiply, NumpadSubtract, NumpadAdd, NumpadEnter, NumpadDecimal, NumpadEqual, NumpadComma,
    Numpad0, Numpad1, Numpad2, Numpad3, Numpad4, Numpad5, Numpad6, Numpad7, Numpad8, Numpad9,
    IntlRo, IntlYen, KanaMode, Convert, NonConvert,
    AudioVolumeMute, AudioVolumeDown, AudioVolumeUp, MediaPlayPause, MediaStop, MediaTrackNext, MediaTrackPrevious,
    Power, Sleep, WakeUp,
    Lang1, Lang2, Lang3, Lang4, Lang5,
    BrowserBack, BrowserFavorites, BrowserForward, BrowserHome, BrowserRefresh, BrowserSearch, BrowserStop,
    LaunchApp1, LaunchApp2, LaunchMail, MediaSelect, Eject, Help, Undo, Cut, Copy, Paste,
}
