using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>What an instruction test starts from and ends with: general registers (in encoding order) and RFLAGS.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct ProcessorState
{
    public fixed ulong Gpr[16];
    public ulong Rflags;

    public override readonly string ToString()
    {
        string[] names = ["RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI"];
        var text = new StringBuilder();
        for (int i = 0; i < 16; i++)
        {
            string name = i < 8 ? names[i] : "R" + i.ToString(CultureInfo.InvariantCulture);
            text.Append(CultureInfo.InvariantCulture, $"{name}={Gpr[i]:x16} ");
        }

        return text.Append(CultureInfo.InvariantCulture, $"RFLAGS={Rflags:x}").ToString();
    }
}
