using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Keys;

namespace WebVm.Vmm.Machine.Consoles;

/// <summary>Types on a guest's keyboard, at a pace that the guest can follow. What a guest does not take in time is given up.</summary>
public static class Typing
{
    /// <summary>A key that the guest refuses is offered again for so long.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(2);

    private const int PauseMilliseconds = 5;

    /// <summary>Presses the keys in turn and releases them in the opposite order.</summary>
    /// <returns>False when the guest does not listen.</returns>
    public static bool Press(IKeyboardInput keyboard, IReadOnlyList<KeyCode> combination)
    {
        bool taken = true;
        foreach (var key in combination)
        {
            taken &= Send(keyboard, key, pressed: true);
        }

        foreach (var key in combination.Reverse())
        {
            taken &= Send(keyboard, key, pressed: false);
        }

        return taken;
    }

    /// <summary>Types characters of a United States keyboard; others are left out.</summary>
    /// <returns>Characters typed.</returns>
    public static int Type(IKeyboardInput keyboard, string text)
    {
        int typed = 0;
        foreach (char character in text)
        {
            if (!KeyboardLayout.Us.TryGetStrokes(character, out var strokes))
            {
                continue;
            }

            foreach (var stroke in strokes)
            {
                if (!Press(keyboard, stroke.Chord))
                {
                    return typed;
                }
            }

            typed++;
        }

        return typed;
    }

    private static bool Send(IKeyboardInput keyboard, KeyCode key, bool pressed)
    {
        long deadline = Environment.TickCount64 + (long)s_patience.TotalMilliseconds;
        while (!keyboard.SendKey(key, pressed))
        {
            if (Environment.TickCount64 >= deadline)
            {
                return false;
            }

            Thread.Sleep(PauseMilliseconds);
        }

        return true;
    }
}
