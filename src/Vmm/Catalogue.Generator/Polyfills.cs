namespace System.Runtime.CompilerServices;

/// <summary>What the compiler wants for init-only members and an older framework does not have.</summary>
internal static class IsExternalInit;
