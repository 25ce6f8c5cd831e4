using System.Runtime.InteropServices;
using System.Text;

namespace WebVm.Vmm.Confinement;

/// <summary>Texts for execve(2) and mount(2) in native memory, which stays as long as the process.</summary>
internal static unsafe class NativeText
{
    public static byte* Of(string text)
    {
        int length = Encoding.UTF8.GetByteCount(text);
        byte* bytes = (byte*)NativeMemory.AllocZeroed((nuint)length + 1);
        Encoding.UTF8.GetBytes(text, new Span<byte>(bytes, length));
        return bytes;
    }

    /// <summary>Ends with a null, as argv and envp do.</summary>
    public static byte** Of(IReadOnlyList<string> texts)
    {
        byte** list = (byte**)NativeMemory.AllocZeroed((nuint)texts.Count + 1, (nuint)sizeof(byte*));
        for (int index = 0; index < texts.Count; index++)
        {
            list[index] = Of(texts[index]);
        }

        return list;
    }
}
