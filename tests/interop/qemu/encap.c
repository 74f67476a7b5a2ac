// Keeps a UDP port open whose ESP the kernel takes (RFC 3948), as an IKE daemon does: encap ADDRESS PORT
#include <arpa/inet.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = v4.sin_port};
  int is_v4 = inet_pton(AF_INET, argv[1], &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, argv[1], &v6.sin6_addr) != 1) return 2;
  int type = UDP_ENCAP_ESPINUDP;
  int descriptor = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  if (descriptor < 0 || setsockopt(descriptor, IPPROTO_UDP, UDP_ENCAP, &type, sizeof type) != 0 ||
      bind(descriptor, is_v4 ? (void*)&v4 : (void*)&v6, is_v4 ? sizeof v4 : sizeof v6) != 0) {
    perror("encap");
    return 1;
  }
  for (;;) pause();
}
