using System.Buffers.Binary;

namespace WebVm.Kit.Service;

/// <summary>
/// The smallest guest: a Multiboot 1 image (Multiboot specification 0.6.96 §3.1) that says "R" on the serial port with its first
/// instructions, and halts for ever.
/// </summary>
internal static class IdleImage
{
    private const uint LoadAddress = 0x10_0000;
    private const uint Magic = 0x1bad_b002;

    // Bit 16: the address fields are valid.
    private const uint Flags = 0x1_0000;
    private const int HeaderBytes = 32;

    // mov dx, 0x3f8; mov al, 'R'; out dx, al; mov al, 10; out dx, al; cli; hlt; jmp to hlt
    private static readonly byte[] s_code = [0x66, 0xba, 0xf8, 0x03, 0xb0, (byte)'R', 0xee, 0xb0, 0x0a, 0xee, 0xfa, 0xf4, 0xeb, 0xfd];

    // start: mov dx, 0x3fd; in al, dx; test al, 1; jz keyboard; mov dx, 0x3f8; in al, dx; out dx, al;
    // keyboard: in al, 0x64; test al, 1; jz start; in al, 0x60; mov dx, 0x3f8; out dx, al; jmp start
    private static readonly byte[] s_echo =
    [
        0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0x06, 0x66, 0xba, 0xf8, 0x03, 0xec, 0xee,
        0xe4, 0x64, 0xa8, 0x01, 0x74, 0xeb, 0xe4, 0x60, 0x66, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xe2,
    ];

    // As the idle guest, but behind its line: mov dx, 0x3fd; wait: in al, dx; test al, 1; jz wait; mov dx, 0x505; mov al, 1; out dx, al;
    // then cli; hlt.
    private static readonly byte[] s_panic =
    [
        0x66, 0xba, 0xf8, 0x03, 0xb0, (byte)'R', 0xee, 0xb0, 0x0a, 0xee,
        0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb, 0x66, 0xba, 0x05, 0x05, 0xb0, 0x01, 0xee, 0xfa, 0xf4, 0xeb, 0xfd,
    ];

    /// <summary>A guest that says "R" and, when something comes in by the serial port, by pvpanic that its kernel has panicked.</summary>
    public static byte[] Panic() => Around(s_panic);

    public static byte[] Bytes() => Around(s_code);

    /// <summary>A guest that never rests: whatever comes in by the serial port or the keyboard goes out by the serial port.</summary>
    public static byte[] Echo() => Around(s_echo);

    private static byte[] Around(byte[] code)
    {
        byte[] image = new byte[HeaderBytes + code.Length];
        uint end = LoadAddress + (uint)image.Length;
        uint[] header = [Magic, Flags, unchecked(0u - Magic - Flags), LoadAddress, LoadAddress, end, end, LoadAddress + HeaderBytes];
        for (int i = 0; i < header.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(4 * i), header[i]);
        }

        code.CopyTo(image, HeaderBytes);
        return image;
    }
}
