namespace WebVm.Vmm.Cpu.State;

/// <summary>CR0 (SDM Vol. 3A §2.5).</summary>
internal static class Cr0
{
    public const ulong Pe = 1 << 0;
    public const ulong Mp = 1 << 1;
    public const ulong Em = 1 << 2;
    public const ulong Ts = 1 << 3;
    public const ulong Et = 1 << 4;
    public const ulong Ne = 1 << 5;
    public const ulong Wp = 1 << 16;
    public const ulong Am = 1 << 18;
    public const ulong Nw = 1 << 29;
    public const ulong Cd = 1 << 30;
    public const ulong Pg = 1UL << 31;
    public const ulong Defined = Pe | Mp | Em | Ts | Et | Ne | Wp | Am | Nw | Cd | Pg;
}

/// <summary>CR4 (SDM Vol. 3A §2.5).</summary>
internal static class Cr4
{
    public const ulong Vme = 1 << 0;
    public const ulong Pvi = 1 << 1;
    public const ulong Tsd = 1 << 2;
    public const ulong De = 1 << 3;
    public const ulong Pse = 1 << 4;
    public const ulong Pae = 1 << 5;
    public const ulong Mce = 1 << 6;
    public const ulong Pge = 1 << 7;
    public const ulong Pce = 1 << 8;
    public const ulong Osfxsr = 1 << 9;
    public const ulong Osxmmexcpt = 1 << 10;
    public const ulong Umip = 1 << 11;
    public const ulong La57 = 1 << 12;
    public const ulong Fsgsbase = 1 << 16;
    public const ulong Pcide = 1 << 17;
    public const ulong Osxsave = 1 << 18;
    public const ulong Smep = 1 << 20;
    public const ulong Smap = 1 << 21;
    public const ulong Pke = 1 << 22;
    public const ulong Pks = 1 << 24;

    /// <summary>A change of any of these flushes all translations (SDM Vol. 3A §4.10.4.1).</summary>
    public const ulong Paging = Pse | Pae | Pge | La57 | Pcide | Smep | Smap | Pke | Pks;
}

/// <summary>IA32_EFER (SDM Vol. 3A §2.2.1).</summary>
internal static class Efer
{
    public const ulong Sce = 1 << 0;
    public const ulong Lme = 1 << 8;
    public const ulong Lma = 1 << 10;
    public const ulong Nxe = 1 << 11;

    /// <summary>AMD's automatic IBRS (APM Vol. 2 §3.1.7): kept, without effect.</summary>
    public const ulong AutomaticIbrs = 1 << 21;
}

/// <summary>RFLAGS (SDM Vol. 1 §3.4.3).</summary>
internal static class RflagsBits
{
    public const ulong Cf = 1 << 0;
    public const ulong Always = 1 << 1;
    public const ulong Pf = 1 << 2;
    public const ulong Af = 1 << 4;
    public const ulong Zf = 1 << 6;
    public const ulong Sf = 1 << 7;
    public const ulong Tf = 1 << 8;
    public const ulong If = 1 << 9;
    public const ulong Df = 1 << 10;
    public const ulong Of = 1 << 11;
    public const ulong Iopl = 3 << 12;
    public const ulong Nt = 1 << 14;
    public const ulong Rf = 1 << 16;
    public const ulong Vm = 1 << 17;
    public const ulong Ac = 1 << 18;
    public const ulong Vif = 1 << 19;
    public const ulong Vip = 1 << 20;
    public const ulong Id = 1 << 21;

    /// <summary>The flags that arithmetic sets.</summary>
    public const ulong Arithmetic = Cf | Pf | Af | Zf | Sf | Of;

    /// <summary>The bits that exist.</summary>
    public const ulong Defined = Arithmetic | Tf | If | Df | Iopl | Nt | Rf | Vm | Ac | Vif | Vip | Id;
}
