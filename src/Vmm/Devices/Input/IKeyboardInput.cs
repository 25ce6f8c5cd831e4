using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Keys;

namespace WebVm.Vmm.Devices.Input;

/// <summary>A keyboard as the host's side uses it. Callable from any thread.</summary>
public interface IKeyboardInput : IHostInput
{
    /// <summary>Presses or releases a key. A key that is down may be pressed again: auto-repeat.</summary>
    /// <returns>False when the guest does not listen or does not keep up; releases of keys that are down are never lost while it listens.
    /// What makes a keyboard send nothing, such as releasing Pause or a key that is up, is true.</returns>
    bool SendKey(KeyCode key, bool pressed);

    /// <summary>Releases all keys that are down, as when the viewer loses the focus.</summary>
    void ReleaseAllKeys();
}

[Flags]
public enum PointerButtons : byte
{
    None = 0,
    Left = 1 << 0,
    Right = 1 << 1,
    Middle = 1 << 2,
    Back = 1 << 3,
    Forward = 1 << 4,
    All = Left | Right | Middle | Back | Forward,
}

/// <summary>A relative pointer as the host's side uses it. Callable from any thread.</summary>
public interface IPointerInput : IHostInput
{
    /// <summary>
    /// Moves the pointer, right and down being positive, turns the wheel (towards the user positive), and sets the buttons that are down.
    /// </summary>
    /// <returns>False when the guest does not listen.</returns>
    bool SendPointer(int deltaX, int deltaY, int wheel, PointerButtons buttons);
}
