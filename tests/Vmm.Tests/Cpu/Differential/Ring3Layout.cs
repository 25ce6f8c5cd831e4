using System.Buffers.Binary;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>
/// The small guest both processors run: long-mode page tables, a GDT in Linux's order, an IDT whose handlers only stop the
/// virtual CPU, and user pages for code, data and stack. Linear addresses equal physical ones.
/// </summary>
internal static class Ring3Layout
{
    public const ulong MemorySize = 0x40000;
    public const ulong PageTables = 0x1000;
    public const ulong Gdt = 0x5000;
    public const ulong Idt = 0x6000;
    public const ulong Tss = 0x7000;
    public const ulong Handlers = 0x8000;
    public const int HandlerSize = 16;
    public const ulong KernelStackTop = 0xb000;

    public const ulong Code = 0x10000;
    public const int CodeSize = 0x4000;

    /// <summary>User data, writable, not executable. The pages before and behind are not present.</summary>
    public const ulong Data = 0x20000;
    public const int DataSize = 0x4000;
    public const ulong ReadOnlyPage = 0x25000;
    public const ulong SupervisorPage = 0x26000;
    public const ulong Stack = 0x30000;
    public const int StackSize = 0x2000;

    public const ushort KernelCode = 0x10;
    public const ushort UserCode32 = 0x23;
    public const ushort UserData = 0x2b;
    public const ushort UserCode64 = 0x33;
    public const ushort TaskState = 0x40;

    public const ulong FsBase = 0x1000;
    public const ulong GsBase = 0x2340;

    public static GuestMemory Create(ReadOnlySpan<byte> handler)
    {
        var memory = new GuestMemory();
        var region = memory.CreateRegion("ram", GuestMemoryKind.Ram, MemorySize);
        if (!memory.TryMap(region, new GuestPhysicalAddress(0)))
        {
            throw new InvalidOperationException("The test's memory does not fit.");
        }

        // Accessed and dirty bits are set, so that nobody needs to.
        const ulong Table = 0x27;
        Write(memory, PageTables, 0x2000 | Table);
        Write(memory, PageTables + 0x1000, 0x3000 | Table);
        Write(memory, PageTables + 0x2000, 0x4000 | Table);
        for (ulong page = 0; page < MemorySize; page += 0x1000)
        {
            Write(memory, PageTables + 0x3000 + (page >> 9), page | Rights(page));
        }

        ulong[] descriptors =
        [
            0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff, 0,
            0x67 | ((Tss & 0xffffff) << 16) | (0x8bUL << 40), 0,
        ];
        for (int i = 0; i < descriptors.Length; i++)
        {
            Write(memory, Gdt + ((ulong)i * 8), descriptors[i]);
        }

        Write(memory, Tss + 4, KernelStackTop);

        // The I/O permission map begins behind the segment's limit: no port is allowed.
        Write(memory, Tss + 96, 0x68UL << 48);
        for (ulong vector = 0; vector < 256; vector++)
        {
            ulong target = Handlers + (vector * HandlerSize);
            ulong type = vector is 3 or 4 ? 0xeeUL : 0x8eUL;
            Write(memory, Idt + (vector * 16), (target & 0xffff) | ((ulong)KernelCode << 16) | (type << 40) | ((target >> 16) << 48));
            Write(memory, Idt + (vector * 16) + 8, 0);
            memory.TryWrite(new GuestPhysicalAddress(target), handler);
        }

        return memory;
    }

    private static ulong Rights(ulong page)
    {
        const ulong Present = 0x61;
        const ulong Writable = 2;
        const ulong User = 4;
        const ulong NoExecute = 1UL << 63;
        return page switch
        {
            < 0xc000 => Present | Writable,
            >= Code and < Code + CodeSize => Present | User,
            >= Data and < Data + DataSize => Present | User | Writable | NoExecute,
            ReadOnlyPage => Present | User | NoExecute,
            SupervisorPage => Present | Writable | NoExecute,
            >= Stack and < Stack + StackSize => Present | User | Writable | NoExecute,
            _ => 0,
        };
    }

    private static void Write(GuestMemory memory, ulong address, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        memory.TryWrite(new GuestPhysicalAddress(address), bytes);
    }
}
