using WebVm.Vmm.Devices.Display;
using Xunit;
using WebVm.Vmm.Pictures;

namespace WebVm.Guest.Tests;

/// <summary>
/// Reads what a Linux framebuffer console shows: each cell of 8 by 16 pixels is compared with the font that the guest's own kernel
/// carries, so that a test sees text and not merely that something is there.
/// </summary>
internal static class ConsoleText
{
    private const int CellWidth = 8;
    private const int CellHeight = 16;

    private static readonly Dictionary<UInt128, char> s_glyphs = LoadFont();

    public static IReadOnlyList<string> Read(Screenshot shot) => Read(shot.Width, shot.Height, (x, y) => shot[x, y] != (0, 0, 0));

    /// <summary>The lines, without the spaces at their ends. A cell that is no character reads as '\ufffd'.</summary>
    public static IReadOnlyList<string> Read(int width, int height, Func<int, int, bool> lit)
    {
        var lines = new List<string>();
        for (int top = 0; top + CellHeight <= height; top += CellHeight)
        {
            var line = new char[width / CellWidth];
            for (int column = 0; column < line.Length; column++)
            {
                UInt128 cell = 0;
                for (int y = 0; y < CellHeight; y++)
                {
                    for (int x = 0; x < CellWidth; x++)
                    {
                        cell = (cell << 1) | (lit((column * CellWidth) + x, top + y) ? 1u : 0u);
                    }
                }

                line[column] = s_glyphs.GetValueOrDefault(cell, '\ufffd');
            }

            lines.Add(new string(line).TrimEnd());
        }

        return lines;
    }

    private static Dictionary<UInt128, char> LoadFont()
    {
        // The 'A' of the kernel's VGA 8x16 font (lib/fonts/font_8x16.c) leads to the table of 256 glyphs.
        ReadOnlySpan<byte> letter = [0, 0, 0x10, 0x38, 0x6c, 0xc6, 0xc6, 0xfe, 0xc6, 0xc6, 0xc6, 0xc6, 0, 0, 0, 0];
        ReadOnlySpan<byte> kernel = File.ReadAllBytes(Images.File("tiny", "vmlinux"));
        int at = kernel.IndexOf(letter);
        Assert.True(at > 0, "The kernel has no font.");
        var font = kernel[(at - ('A' * CellHeight))..];
        var glyphs = new Dictionary<UInt128, char>();
        for (char character = ' '; character <= '~'; character++)
        {
            UInt128 cell = 0;
            foreach (byte row in font.Slice(character * CellHeight, CellHeight))
            {
                cell = (cell << 8) | row;
            }

            glyphs.TryAdd(cell, character);
        }

        return glyphs;
    }
}
